"""BIRD as Debian has it, in a namespace of the kernel, steered as an operator does."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path


@contextlib.asynccontextmanager
async def speaking(
    namespace: str, directory: Path, which: str, text: str
) -> AsyncIterator[None]:
    """Run a BIRD with this configuration in a namespace."""
    path = directory / f"{which}.conf"
    path.write_text(text, encoding="ascii")
    process = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", namespace, "bird", "-f", "-c", str(path)),
        *("-s", _socket(directory, which), "-P", str(directory / f"{which}.pid")),
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
