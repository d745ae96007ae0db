"""How a provider is told which edges to use, as its catalogue describes that."""

from typing import Annotated

import pydantic

from router.units import matching
from router.validation import Name, Section

_VARIABLE = "[A-Z][A-Z0-9_]{0,63}"
_VALUE = r"(?:[A-Za-z0-9._-]|\{edge\}|\{region\}){1,253}"
_PORTS = r"[0-9]{1,5}(?:-[0-9]{1,5})?"

Variable = Annotated[
    str, matching(_VARIABLE, "the name of an environment variable, in capitals")
]
"The name of an environment variable."
Value = Annotated[
    str, matching(_VALUE, "letters, digits, '.', '_', '-', {edge} and {region}")
]
"The value of one, with placeholders."
Ports = Annotated[
    str, matching(_PORTS, "a port, or two with a dash, such as 10000-60000")
]
"A range of ports."


class Dialect(Section):
    """Where and how edges are named in what a customer sets at the provider."""

    edge_parameter: Name | None = None
    """Parameter of an origination URI that names the edge from which the provider calls
    the site. Omitted: such URIs name none."""
    uris: Annotated[int, pydantic.Strict(), pydantic.Field(ge=1, le=1000)] = 10
    "How many origination URIs a trunk may have."
    webhook_edges: tuple[Name, ...] = ()
    """Edges that the fragment of a webhook's URL may name. Omitted: the provider reads
    no fragment."""
    sdk_last: tuple[Name, ...] = ()
    "What the list of a client SDK has behind all edges, where it knows a last resort."
    environment: dict[Variable, Value] = pydantic.Field(default_factory=dict)
    "Variables from which server SDKs take edge and region."
    media_ports: Ports | None = None
    "UDP ports of the provider's media."
