"""Keys out of files."""

from pathlib import Path

import pytest

from router.keys import KeyFileError, read_keys


def test_without_a_file_there_is_a_fresh_key_each_time() -> None:
    (one,), (other,) = read_keys(None), read_keys(None)
    assert one != other
    assert len(one) == 32


def test_first_line_is_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(b"new-new-new-new-new\n\n old-old-old-old-old \n")
    assert read_keys(path) == (b"new-new-new-new-new", b"old-old-old-old-old")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds 0 keys; it needs 1 to 8"),
        ("0123456789abcdef\n" * 9, "holds 9 keys; it needs 1 to 8"),
        ("0123456789abcdef\nshort", "a key has less than 16 characters"),
    ],
)
def test_file_without_good_keys_is_refused(
    text: str, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(KeyFileError, match=complaint):
        read_keys(path)


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"cannot read .*: No such file"):
        read_keys(tmp_path / "none")
