"""When two targets are the same, and how they look."""

import dataclasses

import pytest

from protocols.target import Target, Transport

TARGET = Target("192.0.2.1", 443, Transport.TLS, "api.example.com", label="dublin")


def test_advice_of_the_moment_makes_no_other_target() -> None:
    other = dataclasses.replace(TARGET, patience=0.2, round_trip=0.03)
    assert other == TARGET
    assert hash(other) == hash(TARGET)


@pytest.mark.parametrize(
    "change",
    [
        {"address": "192.0.2.2"}, {"port": 444}, {"transport": Transport.TCP},
        {"host": "x"}, {"server_name": "x"}, {"verify_name": "x"},
        {"source": "192.0.2.9"}, {"label": "x"},
    ],
)  # fmt: skip
def test_all_that_a_connection_depends_on_makes_another_target(
    change: dict[str, object],
) -> None:
    other = dataclasses.replace(TARGET, **change)  # type: ignore[arg-type]
    assert other != TARGET
    assert other.key != TARGET.key


def test_target_is_not_equal_to_what_is_none() -> None:
    assert TARGET.key != TARGET


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (TARGET, "dublin 192.0.2.1:443"),
        (dataclasses.replace(TARGET, label=""), "api.example.com 192.0.2.1:443"),
        (
            dataclasses.replace(TARGET, address="2001:db8::1"),
            "dublin [2001:db8::1]:443",
        ),
        (dataclasses.replace(TARGET, label="192.0.2.1:443"), "192.0.2.1:443"),
        (
            dataclasses.replace(TARGET, address="::1", label="[::1]:443"),
            "[::1]:443",
        ),
    ],
)
def test_target_reads_as_place_and_address(target: Target, text: str) -> None:
    assert str(target) == text
