"""docs/configuration.md and the models say the same."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from router.catalogue import Catalogue, read_catalogue
from router.document import parse
from router.files import read
from router.problem import ConfigError
from router.schema import schema
from router.settings import Config
from router.validation import Section

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/configuration.md").read_text("utf-8")
SETTINGS, CATALOGUES = PAGE.split("## Catalogues\n")
ROW = re.compile(r"^\| `([a-z_.*]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def models(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models(argument)


def keys(model: type[Section], prefix: str = "") -> dict[str, set[str | None]]:
    """Every key of a file, and its defaults as a file would write them."""
    written = schema(model, "file")["properties"]
    found: dict[str, set[str | None]] = {}
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        inner = list(models(field.annotation))
        star = ".*" if typing.get_origin(field.annotation) is dict else ""
        for one in inner:
            for key, defaults in keys(one, f"{path}{star}.").items():
                found.setdefault(key, set()).update(defaults)
        if not inner:
            default = written[name].get("default")
            plain = isinstance(default, str | int | float) and default != ""
            text = str(default).lower() if isinstance(default, bool) else str(default)
            found.setdefault(path, set()).add(text if plain else None)
    return found


@pytest.mark.parametrize(
    ("model", "page"), [(Config, SETTINGS), (Catalogue, CATALOGUES)]
)
def test_page_has_a_row_for_every_key_and_no_other(
    model: type[Section], page: str
) -> None:
    rows = [row[1] for row in ROW.finditer(page)]
    assert sorted(rows) == sorted(keys(model))


@pytest.mark.parametrize(
    ("model", "page"), [(Config, SETTINGS), (Catalogue, CATALOGUES)]
)
def test_page_tells_the_default_of_every_key(model: type[Section], page: str) -> None:
    told = {row[1]: row[2] for row in ROW.finditer(page)}
    for key, defaults in keys(model).items():
        for default in defaults - {None}:
            assert told[key] == f"`{default}`", key
        if defaults == {None}:
            assert not told[key].startswith("`") or told[key] == "`label`", key


def test_page_shows_the_catalogue_that_is_in_the_examples() -> None:
    path = ROOT / "examples/catalogues/telnyx.yaml"
    text = path.read_text("utf-8")
    shown = re.findall(r"```yaml\n(version: 1\n.*?)```", CATALOGUES, re.DOTALL)
    assert [yaml.safe_load(block) for block in shown] == [yaml.safe_load(text)]


def test_example_catalogue_can_be_used() -> None:
    path = ROOT / "examples/catalogues/telnyx.yaml"
    catalogue = read_catalogue(parse(path.read_text("utf-8"), path.name))
    assert catalogue.public_edges() == ("us", "eu", "ca", "au", "asia")
    assert catalogue.products["sip"].has_edges


def test_minimal_example_has_at_most_20_lines() -> None:
    assert (ROOT / "examples/minimal.yaml").read_text("utf-8").count("\n") <= 20


def test_example_of_links_is_refused_for_its_addresses_and_fine_with_others(
    tmp_path: Path,
) -> None:
    (shown,) = re.findall(r"```yaml\n(provider:\n.*?  links:\n.*?)```", SETTINGS, re.S)
    minimal = (ROOT / "examples/minimal.yaml").read_text("utf-8")
    rest = minimal[minimal.index("listeners:") :]
    file = tmp_path / "edge-router.yaml"
    file.write_text(f"version: 1\n{shown}{rest}", "utf-8")
    with pytest.raises(ConfigError) as caught:
        read(file, verify=False)
    found = [one.found for one in caught.value.problems]
    assert len(found) == 4
    assert all("an address for documentation (RFC 5737)" in one for one in found)
    file.write_text(file.read_text("utf-8").replace("198.51.100.", "8.8.8."), "utf-8")
    assert read(file, verify=False).warnings == ()
