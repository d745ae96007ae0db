"""The webhook engine: signs and posts to the site, from one edge after the other."""

import asyncio
import base64
import dataclasses
import hashlib
import hmac
import json
import secrets
import ssl
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from simulator.client import Fixed
from simulator.ledger import Ledger
from simulator.overrides import CAP, Overrides, split

UNREACHABLE = 11205
"Error: no connection to the site."
NO_ANSWER = 11200
"Error: no answer, or one that is a failure."

_ANSWER = 1 << 20
"Bytes of an answer that are kept."


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver a webhook."""

    edge: str
    "Edge that called."
    url: str
    "URL as requested and signed."
    failure: str
    "Empty, or what went wrong: `4xx`, `5xx`, `ct`, `rt`, or `partial`."
    status: int = 0
    "HTTP status of the answer."
    body: bytes = b""
    "Body of the answer, or its beginning."


@dataclasses.dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one webhook."""

    token: str
    "Value of I-Twilio-Idempotency-Token, the same in all attempts."
    attempts: tuple[Attempt, ...]
    "All attempts in their order, those at the fallback URL last."

    @property
    def delivered(self) -> bool:
        """Whether the last attempt succeeded."""
        return bool(self.attempts) and not self.attempts[-1].failure


@dataclasses.dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook to deliver."""

    url: str
    "Where to, with overrides in the fragment."
    parameters: Mapping[str, str]
    "What to tell: the form, the query of a GET, or the members of a JSON object."
    method: str = "POST"
    "POST or GET."
    as_json: bool = False
    "Whether the body is JSON, signed by its digest, instead of a form."
    fallback_url: str | None = None
    "Where to go when no attempt succeeded."


def sign(token: str, url: str, parameters: Mapping[str, str]) -> str:
    """X-Twilio-Signature: a keyed digest of the URL and the sorted form."""
    text = url + "".join(name + parameters[name] for name in sorted(parameters))
    digest = hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


class WebhookEngine:
    """Posts to the site as the provider does; there is no public DNS to find it by."""

    def __init__(self, edges: Mapping[str, str], token: str, ledger: Ledger) -> None:
        """Call from the source address that `edges` gives for each edge."""
        self._edges = edges
        self._token = token
        self._ledger = ledger

    async def deliver(
        self,
        webhook: Webhook,
        *,
        address: str,
        port: int | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> Delivery:
        """Deliver to an address and port in place of those in the URL.

        HTTPS receivers must satisfy `trust`; omitted, the system's authorities.
        """
        token = secrets.token_hex(16)
        trust = trust or ssl.create_default_context()
        url, overrides = split(webhook.url)
        route = _Route(address, port, trust)
        attempts = await self._attempts(webhook, url, overrides, route, token)
        if attempts[-1].failure and webhook.fallback_url is not None:
            told = dict(webhook.parameters)
            failed = attempts[-1].failure
            told["ErrorCode"] = str(UNREACHABLE if failed == "ct" else NO_ANSWER)
            told["ErrorUrl"] = url
            again = dataclasses.replace(webhook, parameters=told)
            url, overrides = split(webhook.fallback_url)
            attempts += await self._attempts(again, url, overrides, route, token)
        return Delivery(token, tuple(attempts))

    async def _attempts(
        self,
        webhook: Webhook,
        url: str,
        overrides: Overrides,
        route: "_Route",
        token: str,
    ) -> list[Attempt]:
        """Try until it succeeds, must not be tried again, or the time is up."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + min(overrides.total_timeout, CAP)
        attempts: list[Attempt] = []
        for number in range(1 + overrides.retries):
            left = deadline - clock()
            if attempts and left <= 0:
                break
            edge = overrides.edges[number % len(overrides.edges)]
            request = self._request(webhook, url, token)
            attempt = await self._attempt(edge, request, overrides, route, left)
            attempts.append(attempt)
            self._ledger.record(
                "webhook",
                edge=edge,
                address=self._edges.get(edge, ""),
                method=webhook.method,
                target=request.url,
                marker=token,
                status=attempt.status,
                detail=attempt.failure,
            )
            if not attempt.failure or not overrides.again(attempt.failure):
                break
        return attempts

    def _request(self, webhook: Webhook, url: str, token: str) -> "_Request":
        headers = {"I-Twilio-Idempotency-Token": token, "User-Agent": "TwilioProxy/1.1"}
        body = b""
        signed: Mapping[str, str] = {}
        if webhook.as_json:
            body = json.dumps(dict(webhook.parameters)).encode()
            headers["Content-Type"] = "application/json"
            url = _with_query(url, {"bodySHA256": hashlib.sha256(body).hexdigest()})
        elif webhook.method == "GET":
            url = _with_query(url, webhook.parameters)
        else:
            body = urlencode(webhook.parameters).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
            signed = webhook.parameters
        headers["X-Twilio-Signature"] = sign(self._token, url, signed)
        return _Request(webhook.method, url, headers, body)

    async def _attempt(
        self,
        edge: str,
        request: "_Request",
        overrides: Overrides,
        route: "_Route",
        left: float,
    ) -> Attempt:
        source = self._edges.get(edge)
        connector = aiohttp.TCPConnector(
            resolver=Fixed(route.address, route.port),
            local_addr=(source, 0) if source else None,
            ssl=route.context(overrides),
            force_close=True,
        )
        timeout = aiohttp.ClientTimeout(
            total=left,
            sock_connect=overrides.connect_timeout,
            sock_read=overrides.read_timeout,
        )
        status = 0
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        ) as session:
            try:
                async with session.request(
                    request.method,
                    URL(request.url, encoded=True),
                    headers=request.headers,
                    data=request.body or None,
                    allow_redirects=False,
                ) as response:
                    status = response.status
                    body = b""
                    async for part in response.content.iter_any():
                        body += part[: _ANSWER - len(body)]
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                return Attempt(edge, request.url, "ct")
            except (aiohttp.ClientError, TimeoutError):
                # "partial responses are never retried"
                failure = "partial" if status else "rt"
                return Attempt(edge, request.url, failure, status)
        failure = f"{status // 100}xx" if status >= 400 else ""
        return Attempt(edge, request.url, failure, status, body)


@dataclasses.dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class _Route:
    """How to reach the site, whose name is in no DNS."""

    address: str
    port: int | None
    trust: ssl.SSLContext

    def context(self, overrides: Overrides) -> ssl.SSLContext:
        if overrides.server_name:
            return self.trust
        context = _Nameless(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        for certificate in self.trust.get_ca_certs(binary_form=True):
            context.load_verify_locations(cadata=certificate)
        return context


class _Nameless(ssl.SSLContext):
    """Indicates no server name (RFC 6066), and so can check none."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, None, session)


def _with_query(url: str, parameters: Mapping[str, str]) -> str:
    """The URL with parameters after those that it has, none of its bytes changed."""
    if not parameters:
        return url
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(parameters)) if part)
    return urlunsplit(parts._replace(query=query))
