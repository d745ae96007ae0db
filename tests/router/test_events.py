"""The registry is consistent, and docs/operations.md says the same."""

import ast
import os
import pathlib
import re

import pytest

from router import events
from router.events import Event, Level

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "operations.md"
ROUTER = pathlib.Path(events.__file__).parent
BEGIN, END = "<!-- events -->\n", "<!-- end of events -->\n"
ALL = pytest.mark.parametrize(
    "event", events.registered(), ids=lambda event: event.name
)

# Keys that a line has besides its fields, and what the journal knows by itself.
TAKEN = {"time", "level", "event", "suppressed", "exception"} | {
    "message", "priority", "syslog_identifier", "code_file", "code_line", "code_func",
}  # fmt: skip


@ALL
def test_event_is_named_for_what_happened(event: Event) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+", event.name)


@ALL
def test_event_has_fields_of_its_own_names(event: Event) -> None:
    names = [field.name for field in event.fields]
    assert len(names) == len(set(names))
    assert not TAKEN & set(names)
    # systemd.journal-fields(7): letters, digits, underscore, none of that in front.
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) for name in names)


def mentioned(path: pathlib.Path) -> set[str]:
    """Attributes of the module `events` that a file uses."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "events"
    }


def test_every_event_is_said_somewhere() -> None:
    constants = {
        name for name, value in vars(events).items() if isinstance(value, Event)
    }
    assert len(constants) == len(events.registered())
    assert constants <= set().union(*map(mentioned, ROUTER.rglob("*.py")))


@ALL
def test_event_is_explained(event: Event) -> None:
    assert event.meaning.endswith(".")
    assert event.advice.endswith(".")
    assert all(field.meaning for field in event.fields)


@ALL
def test_event_is_counted_per_fields_that_it_has(event: Event) -> None:
    event.check(event.once_per)


def test_unknown_field_is_an_error_of_ours() -> None:
    with pytest.raises(AssertionError, match=r"edge\.switched has no field colour"):
        events.EDGE_SWITCHED.check({"home": "ashburn", "colour": "red"})


def test_event_cannot_be_registered_twice() -> None:
    with pytest.raises(AssertionError, match=r"edge\.switched is there twice"):
        events._event("edge.switched", Level.INFO, "", "")


def test_levels_have_the_severities_of_syslog() -> None:
    assert [level.priority for level in Level] == [7, 6, 4, 3]


def test_operations_document_holds_the_registry() -> None:
    """With UPDATE_DOCS=1 in the environment the document is written anew."""
    document = DOCS.read_text()
    before, rest = document.split(BEGIN)
    documented, after = rest.split(END)
    if os.environ.get("UPDATE_DOCS"):
        DOCS.write_text(f"{before}{BEGIN}{events.reference()}{END}{after}")
    else:
        assert documented == events.reference()
