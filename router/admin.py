"""The status over HTTP: a page, metrics, and whether the daemon lives and is ready.

For reading only. It listens where `admin.http` says, which is best an address of this
machine: what it tells is not secret, and not for strangers.
"""

import datetime
import ipaddress
import json
import socket
from collections.abc import Callable

from aiohttp import web

from protocols.net.admission import Limits, Refusal
from protocols.net.listen import Listener, Serving
from protocols.net.tasks import Tasks
from router.metrics import Metrics
from router.page import POLICY, render
from router.status import Condition, Status, as_json

LIMITS = Limits(total=100, per_client=20)
"Connections at once."

KEEP = 15.0
"Seconds that a connection may be idle, or take for the head of its request."

_METRICS = "text/plain; version=0.0.4; charset=utf-8"

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Answer = Callable[[web.BaseRequest], web.Response]


class Admin:
    """Answers on one socket."""

    def __init__(
        self,
        status: Callable[[], Status],
        metrics: Metrics,
        refused: Callable[[str, Refusal, str], None],
        tasks: Tasks,
    ) -> None:
        self._status = status
        self._metrics = metrics
        self._refused = refused
        self._tasks = tasks
        self._listener: Listener | None = None
        self._server = web.Server(
            self._answer,
            access_log=None,
            keepalive_timeout=KEEP,
            lingering_time=1.0,
        )
        self._pages: dict[str, Answer] = {
            "/": self._page,
            "/status.json": self._json,
            "/metrics": self._all_metrics,
            "/healthz": self._health,
            "/readyz": self._readiness,
        }

    def start(self, sock: socket.socket) -> None:
        """Answer on a listening socket, which is its own from now on."""
        serving = Serving(self._server, self._refused, limits=LIMITS)
        self._listener = Listener(sock, serving, self._tasks)
        self._listener.start()

    async def close(self) -> None:
        """Answer no more."""
        if self._listener is not None:
            self._listener.close()
        await self._server.shutdown(timeout=1.0)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            return _text(405, "this is for reading only", Allow="GET, HEAD")
        if not is_ours(request.headers.get("Host", "")):
            return _text(421, "ask by IP address or as localhost")
        page = self._pages.get(request.path)
        if page is None:
            return _text(404, f"there is {', '.join(self._pages)}")
        return page(request)

    def _page(self, request: web.BaseRequest) -> web.Response:
        zone = datetime.datetime.now().astimezone().tzinfo or datetime.UTC
        page = render(self._status(), zone)
        return web.Response(text=page, content_type="text/html", headers=_HEADERS)

    def _json(self, request: web.BaseRequest) -> web.Response:
        text = json.dumps(as_json(self._status()))
        return web.Response(
            text=text, content_type="application/json", headers=_HEADERS
        )

    def _all_metrics(self, request: web.BaseRequest) -> web.Response:
        body = self._metrics.text()
        return web.Response(body=body, headers={**_HEADERS, "Content-Type": _METRICS})

    def _health(self, request: web.BaseRequest) -> web.Response:
        """That it answers at all says that its loop turns."""
        return _text(200, "ok")

    def _readiness(self, request: web.BaseRequest) -> web.Response:
        """Whether new flows of every listener have a way."""
        status = self._status()
        bad = status.condition in (Condition.STARTING, Condition.FAILED)
        return _text(503 if bad else 200, status.verdict)


def is_ours(host: str) -> bool:
    """Whether a Host names us by address, or as localhost.

    By any other name a page from elsewhere may have led a browser here, and could read
    the answer (DNS rebinding).
    """
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if name.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _text(status: int, text: str, **headers: str) -> web.Response:
    return web.Response(
        status=status, text=f"{text}\n", headers={**_HEADERS, **headers}
    )
