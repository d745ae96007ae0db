"""Files that are read while the service runs: one that is odd must not hold it up."""

import errno
import os
import stat
from pathlib import Path

LARGEST = 4 * 1024 * 1024
"Bytes of a file unless told: all the authorities of a system take 0.2 MiB."


def read_file(path: Path, most: int = LARGEST) -> bytes:
    """What is in a file of at most so many bytes. Raises OSError.

    A named pipe would block whoever opens it (fifo(7)), and a device need never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "no regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"more than {most} bytes")
    return data
