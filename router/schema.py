"""JSON schemas of the files, so that editors complete and check them."""

from typing import Any

from router.units import duration, rate, size
from router.validation import Section

_WRITTEN = {"time": duration, "size": size, "rate": rate}


def schema(model: type[Section], title: str) -> dict[str, Any]:
    """The JSON schema of a file; defaults stand there as they are written in a file."""
    found = model.model_json_schema()
    for part in (found, *found.get("$defs", {}).values()):
        for field in part.get("properties", {}).values():
            write = _WRITTEN.get(field.get("x-unit", ""))
            if write is not None and "default" in field:
                field["default"] = write(field["default"])
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {**dialect, **found, "title": title}
