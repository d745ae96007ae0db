"""What the source says of the fields of a model, in the text under each.

pydantic would take it in for every model at each start, for a tenth of a second. It is
wanted for a schema, and for the words of an error.
"""

import ast
import functools
import inspect
import itertools
import textwrap
from collections.abc import Iterable, Iterator, Mapping

import pydantic


@functools.cache
def descriptions(model: type[pydantic.BaseModel]) -> Mapping[str, str]:
    """The text under each field of a model, those of its bases included."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if issubclass(one, pydantic.BaseModel) and one is not pydantic.BaseModel:
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
            assert isinstance(tree, ast.ClassDef)
            found |= dict(_described(tree.body))
    return found


def _described(body: Iterable[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Fields that have a text right under them."""
    for field, text in itertools.pairwise(body):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(said))),
            ):
                yield name, inspect.cleandoc(said)
            case _:
                pass
