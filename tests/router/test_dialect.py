import pydantic
import pytest

from router.dialect import Dialect


def test_provider_that_says_nothing_can_be_told_nothing() -> None:
    dialect = Dialect()
    assert (dialect.edge_parameter, dialect.uris) == (None, 10)
    assert (dialect.webhook_edges, dialect.environment) == ((), {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("environment", {"TWILIO_EDGE": "{edge}", "A1": "x-{region}.y"}),
        ("media_ports", "10000-60000"),
        ("media_ports", "5004"),
        ("uris", 1),
    ],
)
def test_value_is_read(key: str, value: object) -> None:
    assert getattr(Dialect.model_validate({key: value}), key) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("environment", {"twilio": "x"}),
        ("environment", {"LD PRELOAD": "x"}),
        ("environment", {"A": "$(reboot)"}),
        ("environment", {"A": "{tenant}"}),
        ("environment", {"A": 1}),
        ("media_ports", "all"),
        ("uris", 0),
    ],
)
def test_value_that_no_shell_should_see_is_refused(key: str, value: object) -> None:
    with pytest.raises(pydantic.ValidationError):
        Dialect.model_validate({key: value})
