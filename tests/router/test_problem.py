import pytest

from router.problem import (
    ConfigError,
    Problem,
    Severity,
    did_you_mean,
    key_text,
    one_of,
    quote,
)


def test_problem_prints_place_key_finding_expectation_and_hint() -> None:
    problem = Problem(
        "a.yaml", 3, 5, "health.rise", "found 0", "at least 1", "raise it"
    )
    assert str(problem) == (
        "a.yaml:3:5: health.rise: found 0; expected at least 1; raise it"
    )


def test_problem_of_a_whole_file_prints_without_place_and_key() -> None:
    assert (
        str(Problem("a.yaml", 0, 0, "", "cannot be read")) == "a.yaml: cannot be read"
    )


def test_warning_says_that_it_is_one() -> None:
    problem = Problem("a.yaml", 1, 2, "k", "odd", severity=Severity.WARNING)
    assert str(problem) == "a.yaml:1:2: warning: k: odd"


def test_error_carries_and_prints_every_problem() -> None:
    problems = [Problem("a", 1, 1, "", "one"), Problem("a", 2, 1, "", "two")]
    error = ConfigError(problems)
    assert error.problems == tuple(problems)
    assert str(error) == "a:1:1: one\na:2:1: two"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": 1}, "a mapping"),
        ([1], "a list"),
        ([], "an empty list"),
        (None, "nothing"),
        (True, "true"),
        (2.5, "2.5"),
        ("a", "'a'"),
        ("\x1b[31m\n", r"'\x1b[31m\n'"),
        ("-----BEGIN PRIVATE KEY-----\nabc", "a PEM text"),
        ("http://me:secret@host", "'http://...@host'"),
        ("x" * 100, "'" + "x" * 59 + "..."),
    ],
)
def test_value_is_quoted_on_one_short_line(value: object, shown: str) -> None:
    assert quote(value) == shown


def test_value_of_a_secret_key_is_not_shown() -> None:
    assert quote("hunter2", "auth_token") == "a text"


def test_path_is_written_with_dots_and_indexes() -> None:
    assert key_text(("listeners", "api", "to", 1)) == "listeners.api.to[1]"
    assert key_text(("a" * 100, "b")) == "a" * 60 + "....b"


def test_control_characters_of_a_file_never_reach_the_terminal() -> None:
    problem = Problem("f", 1, 1, "a\nb", "found \x1b[31m")
    assert str(problem) == r"f:1:1: a\nb: found \x1b[31m"


def test_near_word_is_suggested_and_a_far_or_long_one_is_not() -> None:
    assert did_you_mean("Dubln", ["dublin", "tokyo"]) == "did you mean 'dublin'?"
    assert did_you_mean("oslo", ["dublin", "tokyo"]) == ""
    assert did_you_mean(5, ["dublin"]) == ""
    assert did_you_mean("dublin" * 50, ["dublin"]) == ""


def test_alternatives_read_like_a_sentence() -> None:
    assert one_of(["a"]) == "a"
    assert one_of(["a", "b", "c"]) == "a, b or c"
