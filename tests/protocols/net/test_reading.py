"""Files that are read while the service runs."""

import os
from pathlib import Path

import pytest

from protocols.net.reading import read_file


def test_file_of_the_most_bytes_is_read_and_a_longer_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_file(path, 4)


def test_pipe_that_nobody_writes_to_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        read_file(tmp_path / "pipe", 5)


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/dev/zero", "no regular file"),
        ("/", "Is a directory"),
        ("/nowhere/file", "No such file or directory"),
    ],
)
def test_what_is_no_file_is_refused(path: str, complaint: str) -> None:
    with pytest.raises(OSError, match=complaint):
        read_file(Path(path), 5)
