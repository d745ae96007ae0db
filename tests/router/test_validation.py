import enum
from pathlib import Path
from typing import Annotated, ClassVar

import pydantic
import pytest

from router.document import parse
from router.validation import FilePath, Name, Section, Text, Version, build


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Section):
    count: Annotated[int, pydantic.Strict(), pydantic.Field(ge=1, le=9)] = 1
    "How many of them. Not more."
    ratio: Annotated[float, pydantic.Strict(), pydantic.Field(lt=1)] = 0.5
    "A share."
    flag: Annotated[bool, pydantic.Strict()] = False
    "A flag."


class Cat(Section):
    called: ClassVar[str] = "sort pet, sound meow"
    sort: str
    "Sort."
    colour: Colour = Colour.RED
    "A colour."
    lives: int = 9
    "Lives."


class Dog(Section):
    called: ClassVar[str] = "sort pet, sound woof"
    sort: str
    "Sort."
    bone: str = ""
    "Bone."


class Cow(Section):
    called: ClassVar[str] = "sort farm"
    sort: str
    "Sort."
    bone: str = ""
    "Bone."
    milk: str = ""
    "Milk."


def kind(value: object) -> str:
    return str(value.get("sort", "Cat")) if isinstance(value, dict) else "Cat"


class Root(Section):
    version: Version
    "The version."
    name: Name = "x"
    "A name."
    text: Text = "x"
    "DNS text, which begins in capitals."
    path: FilePath | None = None
    "A path."
    colour: Colour = Colour.RED
    "A colour."
    inner: Inner = Inner()
    "What is inside."
    words: Annotated[tuple[str, ...], pydantic.Field(min_length=1, max_length=2)] = ()
    "Words."
    required: Annotated[dict[Name, Inner], pydantic.Field(max_length=1)]
    "What must be there,\nover two lines. More."
    animals: dict[
        str,
        Annotated[
            Annotated[Cat, pydantic.Tag("Cat")]
            | Annotated[Dog, pydantic.Tag("Dog")]
            | Annotated[Cow, pydantic.Tag("Cow")],
            pydantic.Discriminator(kind),
        ],
    ] = pydantic.Field(default_factory=dict)
    "Animals."


def complaints(text: str) -> list[str]:
    _, problems = build(Root, parse(text, "f"), Path("/etc"))
    return [str(problem) for problem in problems]


def complaint(line: str) -> str:
    (found,) = complaints(f"version: 1\nrequired: {{}}\n{line}\n")
    return found


def test_document_that_fits_becomes_the_model_and_paths_start_at_the_base() -> None:
    text = "version: 1\nrequired: {}\npath: a.pem\ntext: a b\ncolour: blue\n"
    text += "inner: {count: 2}\n"
    root, problems = build(Root, parse(text, "f"), Path("/etc"))
    assert problems == []
    assert root is not None
    assert (root.path, root.colour) == (Path("/etc/a.pem"), Colour.BLUE)
    assert root.inner.count == 2


def test_absolute_path_stays_as_it_is() -> None:
    text = "version: 1\nrequired: {}\npath: /x/a.pem\n"
    root, _ = build(Root, parse(text, "f"), Path("/etc"))
    assert root is not None
    assert root.path == Path("/x/a.pem")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "name: Ashburn",
            "name: found 'Ashburn'; expected a name of lower-case letters, digits, - "
            "and _; did you mean 'ashburn'?",
        ),
        ("name: A b", "name: found 'A b'; expected a name of lower-case letters"),
        ("text: ''", "text: found ''; expected a text of printable characters"),
        ("text: ' '", "text: found ' '; expected a text of printable characters"),
        ("path: ''", "path: found ''; expected the path of a file"),
        (
            "path: '-----BEGIN KEY-----'",
            "path: found a PEM text; expected the path of a file; write it to a file",
        ),
        ("colour: rad", "found 'rad'; expected red or blue; did you mean 'red'?"),
        ("inner: 3", "inner: found 3; expected a mapping"),
        ("inner: {count: 0}", "inner.count: found 0; expected at least 1"),
        ("inner: {count: 10}", "inner.count: found 10; expected at most 9"),
        ("inner: {count: x}", "found 'x'; expected a whole number"),
        ("inner: {count: 1.5}", "found 1.5; expected a whole number"),
        ("inner: {count: 017}", "expected a whole number; did you mean 17?"),
        ("inner: {ratio: 1}", "inner.ratio: found 1; expected less than 1.0"),
        ("inner: {ratio: 20%}", "expected a number; did you mean 0.2?"),
        ("inner: {ratio: x}", "inner.ratio: found 'x'; expected a number"),
        ("inner: {flag: Yes}", "expected true or false; did you mean 'true'?"),
        ("inner: {flag: off}", "expected true or false; did you mean 'false'?"),
        ("inner: {flag: 1}", "f:3:15: inner.flag: found 1; expected true or false"),
        ("words: a", "words: found 'a'; expected a list; did you mean [a]?"),
        ("words: {a: b}", "words: found a mapping; expected a list"),
        ("words: []", "words: found an empty list; expected at least one entry"),
        ("words: [a, b, c]", "words: found a list; expected at most 2 entries"),
        ("words: [a, 1]", "f:3:12: words[1]: found 1; expected a text"),
        ("wrods: [a]", "f:3:1: wrods: unknown key; expected version, name, text, "),
        ("wrods: [a]", "did you mean 'words'?"),
        ("inner: {cuont: 1}", "expected count, ratio or flag; did you mean 'count'?"),
        ("api_token: abc", "secrets are given by the name of a file only"),
        ("zzz: abc", "animals"),
        ("animals: {a: {sort: Dog, bona: x}}", "animals.a.bona: unknown key; expected"),
        (
            "animals: {a: {sort: Dog, lives: 1}}",
            "a key that does not go with sort pet, sound woof; it goes with sound meow",
        ),
        (
            "animals: {a: {sort: Cat, bone: x}}",
            "it goes with sound woof",
        ),
        ("animals: {a: {sort: Cat, milk: x}}", "it goes with sort farm"),
        ("animals: {a: {sort: Frog}}", "Input tag 'Frog' found"),
        ("animals: {sort: {sort: Dog, bona: x}}", "f:3:29: animals.sort.bona: unknown"),
        ("animals: {Dog: {sort: Dog, Dog: x}}", "f:3:28: animals.Dog.Dog: unknown key"),
        ("Root: 1", "f:3:1: Root: unknown key"),
        ("'[key]': 1", "f:3:1: [key]: unknown key"),
        ('text: "a\\tb"', "text: found 'a\\tb'; expected a text of printable"),
        ("animals: 5", "animals: found 5; expected a mapping"),
    ],
)
def test_complaint_names_place_finding_expectation_and_cure(
    line: str, expected: str
) -> None:
    assert expected in complaint(line)


def test_name_of_an_entry_that_is_none_is_complained_about_at_the_entry() -> None:
    (found,) = complaints("version: 1\nrequired:\n  A b: {}\n")
    assert found.startswith("f:3:3: required.A b: found 'A b'; expected a name")


@pytest.mark.parametrize("written", ["2", "'1'", "true", "1.0"])
def test_version_is_the_number_one_and_nothing_like_it(written: str) -> None:
    (found,) = complaints(f"version: {written}\nrequired: {{}}\n")
    assert found.endswith("expected 1")


def test_missing_key_is_explained_by_its_description() -> None:
    assert complaints("version: 1\n") == [
        "f:1:1: required: the key is missing; "
        "expected what must be there, over two lines"
    ]


def test_description_that_begins_with_an_acronym_keeps_its_capitals() -> None:
    class Bare(Section):
        dns: str
        "DNS servers."

    _, (problem,) = build(Bare, parse("{}", "f"), Path())
    assert problem.expected == "DNS servers"


def test_what_is_left_after_problems_can_be_looked_at_further() -> None:
    text = "version: 1\nrequired: {a: {count: x}, b: {}}\nzzz: 1\ncolour: 3\ninner: 2\n"
    root, problems = build(Root, parse(text, "f"), Path())
    assert len(problems) == 4
    assert root is not None
    assert list(root.required) == ["b"]
    assert root.colour is Colour.RED


def test_nothing_is_left_when_a_key_without_a_default_is_wrong() -> None:
    root, problems = build(Root, parse("version: 1\nrequired: 1\n", "f"), Path())
    assert root is None
    assert len(problems) == 1


def test_list_whose_entries_are_all_wrong_is_not_called_empty() -> None:
    found = complaints("version: 1\nrequired: {}\nwords: [1, 2]\n")
    assert [line.partition(": ")[0] for line in found] == ["f:3:9", "f:3:12"]


def test_word_that_cannot_choose_a_model_is_told_without_what_follows_from_it() -> None:
    text = "version: 1\nrequired: {}\nanimals: {a: {sort: Cat, colour: %s, bone: x}}\n"
    assert [line.partition(" ")[0] for line in complaints(text % "green")] == [
        "f:3:34:"
    ]
    assert len(complaints(text % "rad")) == 2
    assert len(complaints(text % "red")) == 1
