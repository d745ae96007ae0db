"""From a document to frozen models, with every complaint in plain words.

pydantic checks; here its errors become problems that name the line, the key, what was
found, what was expected and what was probably meant.
"""

import re
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import pydantic
from pydantic_core import ErrorDetails, core_schema

from router.descriptions import descriptions
from router.document import Document
from router.problem import KeyPath, Problem, did_you_mean, one_of, quote
from router.units import Written, matching, read_text, wrong

_LONGEST = 4096  # PATH_MAX of Linux
_LONGEST_SOCKET = 107  # unix(7): sun_path has 108 bytes, with a zero at the end
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_SECRET_KEY = re.compile(r"(?:password|secret|token)$", re.IGNORECASE)


class Section(pydantic.BaseModel):
    """One mapping of a file: unknown keys are refused, values never change."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
    called: ClassVar[str] = ""
    "What sets this one apart from its alternatives, in the words of the file."

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: core_schema.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Add what the source says of each key."""
        found = handler.resolve_ref_schema(handler(core))
        for name, text in descriptions(cls).items():
            found["properties"].get(name, {})["description"] = text
        return found


Model = TypeVar("Model", bound=Section)
Models = tuple[type[Section], ...]


def _name(value: object) -> str:
    expected = "a name of lower-case letters, digits, - and _"
    text = read_text(value, expected)
    if not _NAME.fullmatch(text):
        lower = text.lower()
        raise wrong(
            expected, f"did you mean '{lower}'?" if _NAME.fullmatch(lower) else ""
        )
    return text


def _path(value: object, info: pydantic.ValidationInfo) -> Path:
    expected = "the path of a file"
    text = read_text(value, expected)
    if "-----BEGIN" in text:
        raise wrong(expected, "write it to a file and name that")
    if not 0 < len(text) <= _LONGEST or not text.isprintable():
        raise wrong(expected)
    base: Path = (info.context or {}).get("base", Path())
    return base / text


def _socket(value: object, info: pydantic.ValidationInfo) -> Path | None:
    if value == "off":
        return None
    path = _path(value, info)
    if len(str(path).encode()) > _LONGEST_SOCKET:
        raise wrong(f"a path of {_LONGEST_SOCKET} bytes at most, or off")
    return path


def _or_off(value: object, read: pydantic.ValidatorFunctionWrapHandler) -> object:
    return None if value == "off" else read(value)


def _printable(value: object) -> str:
    expected = "a text of printable characters"
    text = read_text(value, expected)
    if not text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise wrong(expected)
    return text


def _version(value: object) -> int:
    # A bool is an int to Python, and 1.0 equals 1.
    if type(value) is not int or value != 1:
        raise wrong("1")
    return value


Version = Annotated[
    int,
    Written(_version, type="integer", const=1),
]
"The version of a file's format; there is one."
Text = Annotated[str, Written(_printable, minLength=1)]
"A text on one line."
Name = Annotated[str, Written(_name, pattern="^[a-z0-9_-]+$")]
"A name that a file gives or refers to."
FieldName = Annotated[
    str,
    matching("[A-Za-z0-9-]{1,64}", "the name of an HTTP field, such as X-Request-Id"),
]
"The name of an HTTP field: a token (RFC 9110 section 5.1), of the usual characters."
FilePath = Annotated[Path, Written(_path, informed=True)]
"A path; a relative one starts at the directory of the configuration."
SocketPath = Annotated[Path | None, Written(_socket, informed=True)]
"The path of a Unix socket; `off` for none."
OR_OFF = pydantic.WrapValidator(_or_off)
"Takes `off` for a value that is not given."


def build(
    model: type[Model], document: Document, base: Path
) -> tuple[Model | None, list[Problem]]:
    """Check a whole document against a model; relative paths start at `base`.

    With problems, the model is what is left without the parts that have them, so that
    it can be looked at further; None if too little is left.
    """
    context = {"base": base}
    try:
        return model.model_validate(document.tree, context=context), []
    except pydantic.ValidationError as error:
        errors = error.errors(include_url=False)
    vague = [*_vague(model, errors)]
    told = [e for e in errors if _counts(e) and not _follows(e, vague)]
    problems = [_problem(model, document, e) for e in told]
    paths = [_located(model, e["loc"])[0] for e in errors]
    try:
        rest = _without(document.tree, paths)
        return model.model_validate(rest, context=context), problems
    except pydantic.ValidationError:
        return None, problems


def _counts(error: ErrorDetails) -> bool:
    """Whether this is not merely the effect of another error.

    A list whose entries are all wrong is not an empty list.
    """
    return error["type"] != "too_short" or not error["input"]


def _vague(
    root: type[Section], errors: Iterable[ErrorDetails]
) -> Iterator[tuple[str | int, ...]]:
    """Places where a model had to be chosen by a word that is like no known one."""
    for error in errors:
        if error["type"] == "enum":
            choices = _choices(error.get("ctx", {}))
            _, _, alternatives = _located(root, error["loc"])
            if alternatives and not did_you_mean(error["input"], choices):
                yield error["loc"][:-1]


def _follows(error: ErrorDetails, vague: Collection[tuple[str | int, ...]]) -> bool:
    """Whether a key is missing or unknown only if the model was chosen rightly."""
    unfit = error["type"] in ("missing", "extra_forbidden")
    return unfit and error["loc"][:-1] in vague


def _without(tree: Mapping[str, Any], paths: Iterable[KeyPath]) -> dict[str, Any]:
    """The tree without the parts at `paths`; a part is two levels deep at most."""
    kept = {k: dict(v) if isinstance(v, dict) else v for k, v in tree.items()}
    for path in paths:
        holder: Any = kept[path[0]] if len(path) > 1 and path[0] in kept else kept
        if isinstance(holder, dict):
            holder.pop(path[:2][-1], None)
    return kept


def _problem(root: type[Section], document: Document, error: ErrorDetails) -> Problem:
    path, models, alternatives = _located(root, error["loc"])
    value, hint = error["input"], ""
    if error["type"] == "extra_forbidden":
        return _unknown_key(document, path, models, alternatives)
    if error["type"] == "missing":
        expected = _description(models, str(path[-1]))
        return document.problem(path, "the key is missing", expected)
    context = error.get("ctx", {})
    expected = _expected(error["type"], context) or error["msg"]
    if error["type"] == "enum":
        hint = did_you_mean(value, _choices(context))
    elif error["type"] == "bool_type":
        hint = _boolean_hint(value)
    elif error["type"] == "int_type":
        hint = _integer_hint(value)
    elif error["type"] == "float_type":
        hint = _share_hint(value)
    elif error["type"] == "tuple_type" and not isinstance(value, dict | None):
        hint = f"did you mean [{value}]?" if quote(value)[1:-1] == value else ""
    found = f"found {quote(value, str(path[-1]) if path else '')}"
    return document.problem(path, found, expected, context.get("hint") or hint)


def _expected(kind: str, context: Mapping[str, Any]) -> str:
    """What pydantic wanted, in plain words; empty for what it never says here."""
    words = {
        "plain": "{expected}",
        "enum": one_of(_choices(context)),
        "string_type": "a text",
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "dict_type": "a mapping",
        "model_type": "a mapping",
        "tuple_type": "a list",
        "too_short": "at least one entry",
        "too_long": "at most {max_length} entries",
        "greater_than_equal": "at least {ge}",
        "less_than_equal": "at most {le}",
        "less_than": "less than {lt}",
    }
    return words.get(kind, "").format_map(context)


def _choices(context: Mapping[str, Any]) -> list[str]:
    """The members of an enumeration, from pydantic's "'a', 'b' or 'c'"."""
    return re.findall(r"'([^']*)'", str(context.get("expected", ""))) or [""]


def _boolean_hint(value: object) -> str:
    word = str(value).lower()
    if word in ("yes", "on", "y", "true"):
        return "did you mean 'true'?"
    return "did you mean 'false'?" if word in ("no", "off", "n", "false") else ""


def _integer_hint(value: object) -> str:
    digits = (
        re.fullmatch(r"0+([1-9][0-9]{0,8})", value) if isinstance(value, str) else None
    )
    return f"did you mean {digits[1]}?" if digits else ""


def _share_hint(value: object) -> str:
    share = re.fullmatch(r"([0-9]{1,3}) ?%", value) if isinstance(value, str) else None
    return f"did you mean {int(share[1]) / 100:g}?" if share else ""


def _unknown_key(
    document: Document, path: KeyPath, models: Models, alternatives: Models
) -> Problem:
    key = str(path[-1])
    known = list(dict.fromkeys(k for m in models for k in m.model_fields))
    homes = [m for m in alternatives if key in m.model_fields]
    if homes:
        found = f"a key that does not go with {models[0].called}"
        return document.key_problem(path, found, "", _instead(models[0], homes))
    hint = did_you_mean(key, known)
    if not hint and _SECRET_KEY.search(key):
        hint = "secrets are given by the name of a file only, in keys that end in _file"
    return document.key_problem(path, "unknown key", one_of(known), hint)


def _instead(chosen: type[Section], homes: Iterable[type[Section]]) -> str:
    """With what a key goes: the first difference of those that differ least."""
    here = chosen.called.split(", ")
    there = [home.called.split(", ") for home in homes]
    most = max(len(set(here) & set(words)) for words in there)
    nearest = [words for words in there if len(set(here) & set(words)) == most]
    differences = [next(w for w in words if w not in here) for words in nearest]
    return f"it goes with {one_of(dict.fromkeys(differences))}"


def _description(models: Models, key: str) -> str:
    texts = (descriptions(m).get(key, "") for m in models if key in m.model_fields)
    text = " ".join(next(texts).split())
    first = text.partition(". ")[0].rstrip(".")
    return first if first[1:2].isupper() else first[:1].lower() + first[1:]


def _located(
    root: type[Section], location: tuple[str | int, ...]
) -> tuple[KeyPath, Models, Models]:
    """Follow pydantic's location: the path in the file, and the models there.

    Where one of several models was chosen, the location holds the name of its class,
    which is no key of the file; the others are the third answer. Where the name of an
    entry is wrong, the location ends in "[key]".
    """
    path: list[str | int] = []
    models: Models = (root,)
    inner: Models = (root,)
    alternatives: Models = ()
    free = named = False  # whether any key may follow, and whether one just came
    for part in location:
        if free:
            path.append(part)
            free, named = False, True
            continue
        chosen = tuple(m for m in inner if m.__name__ == part)
        if named and len(inner) > 1 and chosen:
            models, inner, alternatives = chosen, chosen, inner
        elif not named or part != "[key]":
            path.append(part)
            models = inner
            fields = [
                m.model_fields[str(part)] for m in inner if part in m.model_fields
            ]
            if fields:
                inner = tuple(_models(fields[0].annotation))
                free = typing.get_origin(fields[0].annotation) is dict
        named = False
    return tuple(path), models, alternatives


def _models(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)
