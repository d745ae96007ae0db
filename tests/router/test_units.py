from typing import Annotated, Any

import pydantic
import pytest

from router.units import (
    Bandwidth,
    Octets,
    Rate,
    Seconds,
    Written,
    bandwidth,
    between,
    duration,
    matching,
    provisioned,
    rate,
    read_text,
    seconds_in,
    size,
    within,
    wrong,
)


def read(kind: Any, value: object) -> Any:
    return pydantic.TypeAdapter(kind).validate_python(value)


def complaint(kind: Any, value: object) -> tuple[str, str]:
    """What was expected, and the hint."""
    with pytest.raises(pydantic.ValidationError) as caught:
        read(kind, value)
    context = caught.value.errors()[0]["ctx"]
    return context["expected"], context["hint"]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("2s", 2.0), ("250ms", 0.25), ("1.5m", 90.0), ("1h", 3600.0), ("0s", 0.0)],
)
def test_time_is_read_in_seconds(written: str, seconds: float) -> None:
    assert read(Seconds, written) == seconds


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        (2, "did you mean '2s'?"),
        (0.5, "did you mean '0.5s'?"),
        ("2", "did you mean '2s'?"),
        ("2 s", "did you mean '2s'?"),
        ("2S", "did you mean '2s'?"),
        ("2sec", "did you mean '2s'?"),
        ("10 mins", "did you mean '10m'?"),
        ("5 msec", "did you mean '5ms'?"),
        ("7 microseconds", "did you mean '7us'?"),
        ("3 fortnights", ""),
        ("1m30s", ""),
        ("-2s", ""),
        ("22:22", ""),
        (-2, ""),
        (True, ""),
        (None, ""),
        ([], ""),
    ],
)
def test_time_without_a_proper_unit_is_refused_with_a_hint(
    written: object, hint: str
) -> None:
    expected = "a time with its unit (us, ms, s, m, h, d)"
    assert complaint(Seconds, written) == (expected, hint)


def test_time_out_of_bounds_is_refused_with_the_bounds_as_written() -> None:
    kind = Annotated[Seconds, between("100ms", "1h")]
    assert read(kind, "100ms") == 0.1
    assert read(kind, "60m") == 3600
    assert complaint(kind, "99ms")[0] == "a time from 100ms to 1h"
    assert complaint(kind, "2h")[0] == "a time from 100ms to 1h"


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        (1, "did you mean '1s'?"),
        (40, "did you mean '40ms'?"),
        ("40", "did you mean '40ms'?"),
        ("40 ms", "did you mean '40ms'?"),
        ("40sec", ""),
        (4000, ""),
    ],
)
def test_time_that_is_proposed_is_within_bounds(written: object, hint: str) -> None:
    kind = Annotated[Seconds, between("0s", "1s")]
    assert complaint(kind, written) == (
        "a time with its unit (us, ms, s, m, h, d)",
        hint,
    )


def test_size_that_is_proposed_is_within_bounds() -> None:
    kind = Annotated[Octets, within("1KiB", "1MiB")]
    assert complaint(kind, 64)[1] == "did you mean '64KiB'?"
    assert complaint(kind, 4096)[1] == "did you mean '4096B'?"
    assert complaint(kind, "64g")[1] == ""


@pytest.mark.parametrize(
    ("written", "octets"), [("240B", 240), ("64KiB", 65536), ("1.5MiB", 1572864)]
)
def test_size_is_read_in_bytes(written: str, octets: int) -> None:
    assert read(Octets, written) == octets


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        (64, "did you mean '64B'?"),
        ("64kB", "did you mean '64KiB'?"),
        ("64M", "did you mean '64MiB'?"),
        ("big", ""),
    ],
)
def test_size_without_a_proper_unit_is_refused(written: object, hint: str) -> None:
    assert complaint(Octets, written) == (
        "a size with its unit (B, KiB, MiB, GiB)",
        hint,
    )


def test_size_out_of_bounds_is_refused_with_the_bounds_as_written() -> None:
    kind = Annotated[Octets, within("1KiB", "1MiB")]
    assert read(kind, "1MiB") == 1 << 20
    assert complaint(kind, "1B")[0] == "a size from 1KiB to 1MiB"
    assert complaint(kind, "1GiB")[0] == "a size from 1KiB to 1MiB"


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        ("64kbit/s", 8000),
        ("1.5kbit/s", 187),
        ("10Mbit/s", 1_250_000),
        ("1Gbit/s", 125_000_000),
    ],
)
def test_bandwidth_is_read_in_bytes_per_second(written: str, octets: int) -> None:
    assert read(Bandwidth, written) == octets


@pytest.mark.parametrize("written", ["64kbit/s", "1.5Mbit/s", "10Mbit/s", "2Gbit/s"])
def test_bandwidth_is_written_as_it_is_sold(written: str) -> None:
    once_more = bandwidth(read(Bandwidth, written))
    assert read(Bandwidth, once_more) == read(Bandwidth, written)
    assert once_more == written.replace("1.5Mbit", "1500kbit")


@pytest.mark.parametrize("written", [100, "100", "100M", "100Mbps", "100 mbit/s"])
def test_bandwidth_without_a_proper_unit_is_refused_with_a_hint(
    written: object,
) -> None:
    expected = "a bandwidth with its unit (kbit/s, Mbit/s, Gbit/s)"
    assert complaint(Bandwidth, written) == (expected, "did you mean '100Mbit/s'?")


def test_bandwidth_out_of_bounds_is_refused_with_the_bounds_as_written() -> None:
    kind = Annotated[Bandwidth, provisioned("64kbit/s", "1Gbit/s")]
    assert read(kind, "64kbit/s") == 8000
    for written in ("0Mbit/s", "2Gbit/s"):
        assert complaint(kind, written)[0] == "a bandwidth from 64kbit/s to 1Gbit/s"
    assert complaint(kind, 70)[1] == "did you mean '70Mbit/s'?"
    assert complaint(kind, 7000)[1] == "did you mean '7000kbit/s'?"


def test_rate_is_read_in_bytes_per_second() -> None:
    assert read(Rate, "1KiB/s") == 1024
    assert complaint(Rate, "fast/s")[1] == ""
    for written in ("240B", "240", 240, "240b/s", "240 B/s"):
        assert complaint(Rate, written)[1] == "did you mean '240B/s'?"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, "0s"),
        (0.25, "250ms"),
        (0.0005, "0.5ms"),
        (2.0, "2s"),
        (2.5, "2.5s"),
        (60.0, "60s"),
        (90.0, "90s"),
        (120.0, "2m"),
        (7200.0, "2h"),
    ],
)
def test_seconds_are_written_as_a_file_would(seconds: float, written: str) -> None:
    assert duration(seconds) == written
    assert read(Seconds, written) == pytest.approx(seconds)


def test_bytes_are_written_as_a_file_would() -> None:
    assert [size(n) for n in (0, 240, 65536, 1 << 20, 1 << 30)] == [
        "0B",
        "240B",
        "64KiB",
        "1MiB",
        "1GiB",
    ]
    assert rate(240) == "240B/s"


def test_text_is_read_as_it_is_and_its_schema_says_so() -> None:
    assert read_text("a", "a text") == "a"
    assert str(wrong("a text")) == "expected a text"
    kind = Annotated[str, Written(lambda value: read_text(value, "x"), pattern="a")]
    adapter = pydantic.TypeAdapter(kind)
    assert adapter.validate_python("b") == "b"
    assert adapter.json_schema() == {"type": "string", "pattern": "a"}


def test_text_is_taken_that_matches_whole() -> None:
    kind = Annotated[str, matching("[a-z]{2}", "two letters")]
    assert read(kind, "ab") == "ab"
    for wrong_one in ("abc", "AB", ""):
        assert complaint(kind, wrong_one)[0] == "two letters"
    schema = pydantic.TypeAdapter(kind).json_schema()
    assert schema == {"type": "string", "pattern": "^[a-z]{2}$"}


def test_reader_may_be_told_of_what_is_around() -> None:
    def read(value: object, info: pydantic.ValidationInfo) -> str:
        return f"{info.context}/{value}"

    adapter = pydantic.TypeAdapter(Annotated[str, Written(read, informed=True)])
    assert adapter.validate_python("b", context="a") == "a/b"


def test_time_in_a_command_is_read_within_its_bounds() -> None:
    assert seconds_in("90m", "1s", "7d") == 5400.0
    with pytest.raises(ValueError, match="a time from 1s to 7d"):
        seconds_in("8d", "1s", "7d")
    with pytest.raises(ValueError, match=r"with its unit .*; did you mean '60s'\?"):
        seconds_in("60", "1s", "7d")
    with pytest.raises(ValueError, match="with its unit"):
        seconds_in(None, "1s", "7d")
