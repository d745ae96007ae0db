"""A headless Chromium with one page, and what that page tells."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.stage import HERE

DEADLINE = 20.0
"Seconds for Chromium to start and its page to tell the next thing; both take one."

_PAGE = """<!doctype html><title>Test</title>{tags}<script>
let telling = Promise.resolve();
const tell = what => telling = telling.then(
    () => fetch("/told", {{method: "POST", body: JSON.stringify(what)}}));
addEventListener("error", event => tell({{error: event.message}}));
addEventListener("unhandledrejection", event => tell({{error: `${{event.reason}}`}}));
{script}
</script>"""


class Page:
    """What a page tells, one thing after the other."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def next(self) -> dict[str, Any]:
        """The next thing it tells by `tell({...})`."""
        async with asyncio.timeout(DEADLINE):
            told = await self._told.get()
        assert "error" not in told, told
        return told

    async def take(self, request: web.Request) -> web.Response:
        """Served to the page as /told."""
        self._told.put_nowait(json.loads(await request.text()))
        return web.Response()


@contextlib.asynccontextmanager
async def browsing(
    script: str,
    *,
    certificate: Path,
    ports: Mapping[str, int],
    profile: Path,
    libraries: Mapping[str, bytes] | None = None,
) -> AsyncIterator[Page]:
    """Chromium with a page that runs `script`, whose `tell` comes here.

    It trusts this one certificate. `ports` are those of the daemon for host names,
    `libraries` scripts that the page loads before its own.
    """
    page, files = Page(), libraries or {}
    tags = "".join(f'<script src="/{name}"></script>' for name in files)
    text = _PAGE.format(tags=tags, script=script)

    async def serve(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name in files:
            return web.Response(body=files[name], content_type="text/javascript")
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    application = web.Application()
    application.router.add_post("/told", page.take)
    application.router.add_get("/{name}", serve)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}/page"
    mapped = ",".join(f"MAP {name} {HERE}:{port}" for name, port in ports.items())
    try:
        async with _chromium(
            f"--ignore-certificate-errors-spki-list={_pin(certificate)}",
            f"--host-resolver-rules={mapped}",
            f"--user-data-dir={profile}",
            address,
        ):
            yield page
    finally:
        await runner.cleanup()


async def pictured(address: str, *, profile: Path, picture: Path) -> list[str]:
    """Have a page drawn into a file; what Chromium's console says of it."""
    async with _chromium(
        f"--user-data-dir={profile}",
        f"--screenshot={picture}",
        "--window-size=1200,900",
        "--enable-logging=stderr",
        address,
        stderr=asyncio.subprocess.PIPE,
    ) as process:
        async with asyncio.timeout(DEADLINE):
            _, told = await process.communicate()
    lines = told.decode(errors="replace").splitlines()
    return [line for line in lines if ":CONSOLE" in line]


@contextlib.asynccontextmanager
async def _chromium(
    *arguments: str, stderr: int = asyncio.subprocess.DEVNULL
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        "chromium",
        *("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        # As root there is no sandbox; the only page is ours.
        "--no-sandbox",
        "--no-proxy-server",
        "--disable-background-networking",
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _pin(certificate: Path) -> str:
    """The digest by which Chromium knows a public key."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def installed() -> bool:
    """Whether there is a Chromium."""
    return shutil.which("chromium") is not None
