"""The text under a field is its description."""

import pydantic

from router.descriptions import descriptions


class Base(pydantic.BaseModel):
    inherited: int
    "From the base."
    changed: int
    "From the base, too."


class Model(Base):
    """No field's text."""

    changed: int
    """Over
    two lines."""
    silent: int
    other: int = 1
    1  # noqa: B018


def test_text_under_a_field_is_its_description_and_the_nearest_counts() -> None:
    assert descriptions(Model) == {
        "inherited": "From the base.",
        "changed": "Over\ntwo lines.",
    }
