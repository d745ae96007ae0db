import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.document import MAX_CHARACTERS, MAX_DEPTH, MAX_VALUES, Position, parse
from router.problem import ConfigError, Severity


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("17", 17),
        ("-3", -3),
        ("0", 0),
        ("0.25", 0.25),
        ("'17'", "17"),
        ('"true"', "true"),
        ("no", "no"),
        ("On", "On"),
        ("yes", "yes"),
        ("True", "True"),
        ("22:22", "22:22"),
        ("017", "017"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        ("2026-11-22", "2026-11-22"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalar_means_what_its_author_sees(written: str, value: object) -> None:
    found = parse(f"key: {written}\n", "f").tree["key"]
    assert found == value
    assert type(found) is type(value)


def test_every_key_and_value_has_its_position() -> None:
    document = parse("a: 1\nb:\n  - x\n  - c: {d: y}\n", "f")
    assert document.tree == {"a": 1, "b": ["x", {"c": {"d": "y"}}]}
    assert document.keys["a",] == Position(1, 1)
    assert document.values["a",] == Position(1, 4)
    assert document.values["b", 0] == Position(3, 5)
    assert document.keys["b", 1, "c"] == Position(4, 5)
    assert document.values["b", 1, "c", "d"] == Position(4, 12)


def test_value_that_is_a_block_is_found_at_its_key() -> None:
    assert str(parse("a:\n  b: 1\n", "f").problem(("a",), "odd")) == "f:1:1: a: odd"


def test_missing_key_is_found_at_what_should_hold_it() -> None:
    document = parse("a:\n  b: 1\n", "f")
    assert str(document.problem(("a", "c"), "no key")) == "f:1:1: a.c: no key"
    assert str(document.problem(("z",), "no key")) == "f:1:1: z: no key"


def test_problem_with_a_key_is_found_at_the_key_and_one_with_a_value_at_the_value() -> (
    None
):
    document = parse("a: 1\n", "f")
    assert document.key_problem(("a",), "odd", "b", "c").column == 1
    warning = document.problem(("a",), "odd", severity=Severity.WARNING)
    assert (warning.column, warning.severity) == (4, Severity.WARNING)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1:1: nothing; expected a mapping"),
        ("# only a comment", "nothing; expected a mapping"),
        ("- a\n", "f:1:1: a list; expected a mapping"),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document; expected one document"),
        ("a: b: c\n", "f:1:5: not YAML: mapping values are not allowed here; quote"),
        ("a:\n\tb: 1\n", "f:2:1: not YAML: found character '\\t' that cannot start"),
        ("a: [1\n", "f:1:4: not YAML: a list or mapping without its end; close"),
        ("a: {x: 1\nb: 3\n", "f:1:4: not YAML: a list or mapping without its end"),
        ("a:\n  b: 'x\nc: 1\n", "f:2:6: not YAML: a quoted text without its end"),
        ("a:\n  b: 1\n  b:c\n  d: 1\n", "f:3:3: not YAML: a key without a colon"),
        ("a:\n    b: 1\n   c: 2\n", "f:3:4: not YAML: expected <block end>, but"),
        ("a: [::1]:443\n", "f:1:5: not YAML: expected the node content, but"),
        ("a: @x\n", "begins with it"),
        ("a: 1\nb: \0\n", "f:2:4: the character U+0000; expected printable text"),
        ('a: "\\UFFFFFFFF"\n', "out of range"),
        ("[a]: 1\n", "f:1:1: a key that is not a text"),
        ("? {a: b}\n: 1\n", "a key that is not a text"),
    ],
)
def test_text_that_is_no_mapping_is_refused_with_its_place(
    text: str, message: str
) -> None:
    assert message in refused(text)


def test_deepest_allowed_nesting_is_read_and_one_level_more_refused() -> None:
    levels = MAX_DEPTH - 1
    deepest = "a: " + "[" * levels + "]" * levels
    assert parse(deepest, "f").problems == ()
    assert f"nested deeper than {MAX_DEPTH}" in refused(f"a: [{deepest[3:]}]")


def test_document_that_is_too_long_or_has_too_many_values_is_refused() -> None:
    assert "expected at most" in refused("#" * (MAX_CHARACTERS + 1))
    assert f"more than {MAX_VALUES} values" in refused("a: [" + "1," * MAX_VALUES + "]")


def test_duplicate_keys_anchors_aliases_tags_and_merges_are_all_told() -> None:
    document = parse(
        "a: 1\na: 2\nb: &x 3\nc: *x\nd: !t 4\ne: {<<: 5}\n'<<': {f: &y [6]}\n&k g: 7\n",
        "f",
    )
    assert [str(problem) for problem in document.problems] == [
        "f:2:1: a: the key a second time (first in line 1); expected each key once",
        "f:3:4: b: an anchor ('x'); expected no anchors and aliases",
        "f:4:4: c: an alias ('x'); expected the value itself",
        "f:5:4: d: a tag ('!t'); expected no tags",
        "f:6:5: e: a merge key (<<); expected the keys themselves",
        "f:7:11: <<.f: an anchor ('y'); expected no anchors and aliases",
        "f:8:1: an anchor ('k'); expected no anchors and aliases",
    ]
    assert document.tree["a"] == 1


def test_problems_before_a_fatal_one_are_told_with_it() -> None:
    assert refused("a: 1\na: 2\nb: [\n").count("\n") == 1


@given(st.text(alphabet="ab:-[]{}&*!#|>'\"\\%@`,? \n\t0\ufeff\x85", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree: object = parse(text, "f").tree
    except ConfigError as error:
        tree = {problem.line: problem for problem in error.problems}
    assert isinstance(tree, dict)
