"""A browser's view of the status page, and a terminal's of the same."""

import asyncio
import html
import re
import struct
from pathlib import Path

import aiohttp
import pytest
import yaml
from click.testing import CliRunner

from router.cli import main
from simulator.provider import Provider
from tests import stage
from tests.interop.browser import installed, pictured
from tests.stage import HERE, Site

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not installed(), reason="chromium is not installed"),
]


def first_line(page: str) -> str:
    found = re.search(r'<div class="verdict [a-z]+">([^<]*)', page)
    assert found is not None
    return html.unescape(found[1])


def words(line: str) -> str:
    """Without figures, which differ from one moment to the next."""
    return re.sub(r"[\d.]+", "#", line.strip())


async def told(address: str, config: Path) -> tuple[str, str]:
    """First lines of the page and of the command, between two changes of health."""
    async with aiohttp.ClientSession() as session:

        async def shown() -> str:
            async with session.get(address) as answer:
                return words(first_line(await answer.text()))

        async with asyncio.timeout(30):
            while True:
                before = await shown()
                result = await asyncio.to_thread(
                    CliRunner().invoke, main, ["status", "--config", str(config)]
                )
                if before == await shown():
                    return before, words(result.stdout.splitlines()[0])


async def test_page_is_drawn_without_complaint_and_says_what_the_command_says(
    provider: Provider, site: Site, tmp_path: Path
) -> None:
    port = stage.free_port(HERE)
    settings = stage.configuration(
        provider,
        tmp_path,
        {"api": stage.terminate(site)},
        admin={"http": f"{HERE}:{port}", "socket": str(tmp_path / "control.sock")},
    )
    config = tmp_path / "edge-router.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    address, picture = f"http://{HERE}:{port}/", tmp_path / "page.png"
    async with stage.running(settings, tmp_path) as daemon:
        await daemon.wait("edge.switched")
        profile = tmp_path / "profile"
        assert await pictured(address, profile=profile, picture=picture) == []
        page, command = await told(address, config)
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == (1200, 900)
    assert len(data) > 20_000  # a page that is empty has 5,000
    assert page == command
    assert "home is " in page
