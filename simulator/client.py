"""Asking the provider directly, as its own client: names lead where one says."""

import asyncio
import dataclasses
import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL


class Fixed(AbstractResolver):
    """Leads every name to one address, and to one port if that is given."""

    def __init__(self, address: str, port: int | None = None) -> None:
        self._address = address
        self._port = port

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,
    ) -> list[ResolveResult]:
        """The one address."""
        return [
            ResolveResult(
                hostname=host,
                host=self._address,
                port=port if self._port is None else self._port,
                family=socket.AF_INET6 if ":" in self._address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Nothing to close."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request."""

    status: int
    "HTTP status."
    headers: Mapping[str, str]
    "Header fields; names in any case find them."
    body: bytes
    "Body, transfer coding removed."

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def connector(
    address: str, trust: ssl.SSLContext, *, source: str | None = None
) -> aiohttp.TCPConnector:
    """For an aiohttp session that finds every name at this address."""
    return aiohttp.TCPConnector(
        resolver=Fixed(address),
        ssl=trust,
        local_addr=(source, 0) if source else None,
    )


async def ask(
    address: str,
    url: str,
    trust: ssl.SSLContext,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    data: bytes | Mapping[str, str] | None = None,
    source: str | None = None,
    timeout: float = 10.0,
) -> Answer:
    """Make one request on a connection of its own, within `timeout` seconds.

    Raises aiohttp.ClientError, or TimeoutError.
    """
    async with (
        asyncio.timeout(timeout),
        aiohttp.ClientSession(
            connector=connector(address, trust, source=source)
        ) as session,
        session.request(
            method,
            URL(url, encoded=True),
            headers=headers,
            data=data,
            allow_redirects=False,
        ) as response,
    ):
        body = await response.read()
        return Answer(response.status, response.headers, body)
