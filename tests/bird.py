"""BIRD as Debian has it, in a namespace of the kernel, steered as an operator does."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from tests.namespaces import Network


@contextlib.asynccontextmanager
async def speaking(
    network: Network, within: str, directory: Path, which: str, text: str
) -> AsyncIterator[None]:
    """Run a BIRD with this configuration in a namespace of the network."""
    path = directory / f"{which}.conf"
    path.write_text(text, encoding="ascii")
    words = ("bird", "-f", "-c", str(path), "-s", _socket(directory, which))
    pid = ("-P", str(directory / f"{which}.pid"))
    process = await asyncio.create_subprocess_exec(
        *network.command(*words, *pid, within=within)
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


def control(directory: Path, which: str, words: str) -> None:
    """Have one of the BIRDs obey a command."""
    done = subprocess.run(
        ["birdc", "-s", _socket(directory, which), *words.split()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def _socket(directory: Path, which: str) -> str:
    return str(directory / f"{which}.ctl")
