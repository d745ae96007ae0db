"""The REST service behind all edges: resources, an echo, faults, and the ledger."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from aiohttp import web
from aiohttp.http import HttpProcessingError

from simulator import bodies
from simulator.faults import ANSWERS, Fault, Region, at_work
from simulator.front import Arrival
from simulator.ledger import Ledger
from simulator.resources import Resources, refusal
from simulator.visit import VISIT, Visit, read
from simulator.zone import Zone

IDLE = 75.0
"Seconds after which an idle connection is closed."

_FEW = 256
"Arrivals that are remembered before those of the past are looked for."

_Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rest:
    """Serves every connection that an edge has accepted."""

    def __init__(
        self,
        zone: Zone,
        ledger: Ledger,
        resources: Resources,
        regions: Mapping[str, Region],
    ) -> None:
        self._zone = zone
        self._ledger = ledger
        self._regions = regions
        self._arrivals: dict[object, Arrival] = {}
        self._many = _FEW
        self._numbers = itertools.count(1)

        @web.middleware
        async def serve(request: web.Request, handler: _Next) -> web.StreamResponse:
            return await self._serve(request, handler)

        application = web.Application(middlewares=[serve])
        application.add_routes([*resources.routes, *bodies.ROUTES])
        application.router.add_route("*", "/{path:.*}", echo)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=_Log(ledger),
            auto_decompress=False,
            handler_cancellation=True,
            keepalive_timeout=IDLE,
            shutdown_timeout=0.1,
        )

    async def start(self) -> None:
        """Be ready to accept."""
        await self._runner.setup()

    async def stop(self) -> None:
        """End what is still being served; its connections should be closed by now."""
        await self._runner.cleanup()

    def accept(self, arrival: Arrival) -> asyncio.Protocol:
        """The protocol for a new connection."""
        assert self._runner.server is not None, "accept() before start()"
        protocol = self._runner.server()
        if len(self._arrivals) >= self._many:
            self._forget(set(self._runner.server.connections))
        self._arrivals[protocol] = arrival
        return protocol

    def _forget(self, alive: Collection[object]) -> None:
        """Drop arrivals whose connection is gone and whose requests are served."""
        for protocol, arrival in tuple(self._arrivals.items()):
            if arrival.connection.done.done() and protocol not in alive:
                del self._arrivals[protocol]
        self._many = _FEW + 2 * len(self._arrivals)

    async def _serve(self, request: web.Request, go_on: _Next) -> web.StreamResponse:
        """Note the request, serve or spoil it, note what became of it."""
        arrival = self._arrivals[request.protocol]
        entry = self._zone.find(request.host.partition(":")[0].lower())
        session = request.get_extra_info("ssl_object")
        name = session.server_name if session is not None else ""
        noted = self._ledger.record(
            "request",
            edge=arrival.edge,
            address=arrival.address,
            product=entry.product if entry else "",
            region=(entry.region or "") if entry else "",
            source=arrival.source,
            request=f"RQ{next(self._numbers):032x}",
            method=request.method,
            target=request.raw_path,
            host=request.host,
            server_name=name,
            marker=request.headers.get("Idempotency-Key", ""),
        )
        visit = None
        event, status = "aborted", 0
        try:
            if entry is None:
                response: web.StreamResponse = refusal(
                    421, 20421, f"{request.host} is not served here"
                )
            else:
                visit = request[VISIT] = Visit(noted.request, arrival, entry, name)
                response = await self._spoil(request, go_on)
            event, status = "answered", response.status
        except web.HTTPException as answer:
            event, status = "answered", answer.status
            raise
        finally:
            self._ledger.record(
                event,
                edge=arrival.edge,
                address=arrival.address,
                request=noted.request,
                marker=noted.marker,
                status=status,
                size=visit.size if visit else 0,
                digest=visit.digest if visit else "",
            )
        if not response.prepared:
            response.headers["Twilio-Request-Id"] = noted.request
            response.headers["X-Simulator-Edge"] = f"{arrival.edge} {arrival.address}"
        return response

    async def _spoil(self, request: web.Request, go_on: _Next) -> web.StreamResponse:
        """Serve the request as the fault at work would have it."""
        visit = request[VISIT]
        region = self._regions.get(visit.entry.region or "")
        places = (*visit.arrival.places, *([region] if region else []))
        active = at_work(places, ANSWERS)
        if active is None:
            return await go_on(request)
        if active.fault is Fault.STATUS:
            await read(request)
            return refusal(int(active.value), 20500, "The simulator was told to fail")
        if active.fault is Fault.SLOW_FIRST_BYTE:
            await asyncio.sleep(active.value)
            return await go_on(request)
        response = await go_on(request)
        if not isinstance(response, web.Response):
            return response
        if active.fault is Fault.SLOW_BODY:
            return await bodies.drip(request, response, active.value)
        body = response.body if isinstance(response.body, bytes) else b""
        return bodies.cut_short(body, len(body) // 2, status=response.status)


async def echo(request: web.Request) -> web.StreamResponse:
    """Say what arrived, and where."""
    await read(request)
    visit = request[VISIT]
    return web.json_response(
        {
            "request": visit.request_id,
            "method": request.method,
            "target": request.raw_path,
            "version": f"{request.version.major}.{request.version.minor}",
            "host": request.host,
            "server_name": visit.server_name,
            "product": visit.entry.product,
            "region": visit.entry.region,
            "edge": visit.arrival.edge,
            "address": visit.arrival.address,
            "source": visit.arrival.source,
            "headers": [
                [name.decode("latin-1"), value.decode("latin-1")]
                for name, value in request.raw_headers
            ],
            "body": {"bytes": visit.size, "sha256": visit.digest},
        }
    )


class _Log(logging.Logger):
    """Keeps what clients do wrong out of the log: that is for our own errors."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__("simulator.rest")
        self.parent = logging.getLogger()
        self._ledger = ledger

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            self._ledger.record("unparsed", detail=str(error))
        # The ledger has noted a client that left during its answer as "aborted".
        return not isinstance(error, HttpProcessingError | ConnectionError)
