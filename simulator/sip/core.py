"""What is behind the provider's edges: who may call, and whom it reaches.

The edges' proxies are not separate processes; what they would add and check is done
here: Via, Record-Route and Contact with addresses of the inside, and the refusal of
requests whose route set or Request-URI somebody rewrote.
"""

import ipaddress
import secrets
from collections.abc import Callable, Mapping

from simulator.faults import Active, Fault
from simulator.ledger import Ledger
from simulator.sip.agent import Agent
from simulator.sip.call import Call
from simulator.sip.callees import Callee, callee, valid
from simulator.sip.digest import challenge, nonce_of, verify
from simulator.sip.limits import Bans, Rate
from simulator.sip.message import Fields, Received, description, parse_uri
from simulator.sip.plan import SipPlan
from simulator.sip.transaction import Path, Server

MEDIA = "168.86.128.1"
"Where the provider says that it takes media."

_NONCES = 10_000
_EDGE: Fields = [("Server", "Twilio Gateway")]
_CORE: Fields = [("Server", "Twilio")]

Outward = Callable[[tuple[str, str, int], Path], Path]
"Gives the way from the edge address of a path to a transport, host and port."


class Core(Agent):
    """The provider's own agent, behind all its edges."""

    def __init__(
        self,
        plan: SipPlan,
        ledger: Ledger,
        knows: Callable[[str], bool],
        outward: Outward,
        fault: Callable[[Path], Active | None],
        now: Callable[[], float],
    ) -> None:
        """`knows` tells the host names of customers; `fault` what an edge has."""
        super().__init__(t1=plan.t1)
        self.plan = plan
        self.ports: Mapping[str, int] = {}
        "Port of each transport at every edge address."
        self.callees: dict[str, Callee] = {}
        "Callees by number, beside those of the plan of numbers."
        self.bindings: dict[str, str] = {}
        "Contact of each user that registered at a SIP domain."
        self._ledger = ledger
        self._knows = knows
        self._outward = outward
        self._fault = fault
        self._now = now
        self._options = Rate(1, plan.options_period)
        self._pairs = Rate(plan.pair_rate, 1.0)
        self._trunks = Rate(plan.trunk_rate, 1.0)
        self._bans = Bans(plan.ban)
        self._nonces: dict[str, str] = {}

    # ---- What comes in -----------------------------------------------------------

    def receive(self, message: Received, path: Path) -> None:
        """Take one message, unless its sender is banned."""
        if self._bans.holds((path.far[0], path.near[0]), self._now()):
            self.note("ignored", path, message)
        elif message.code and list(message.vias[1:]) != [_inner(path, message.branch)]:
            self.note("altered", path, message, detail="via")
        else:
            super().receive(message, path)

    def admit(self, server: Server) -> bool:
        """Judge a request outside a dialog, as the edge and then the core do."""
        request, path = server.request, server.path
        uri = parse_uri(request.uri)
        if request.method == "OPTIONS" and self._too_fast(server):
            return False
        if _literal(uri.host):
            self._refuse(server, 403, "bare address")
        elif not self._knows(uri.host):
            self.note("unknown-host", path, request, detail=uri.host)
        elif request.forwards <= 0:
            self._refuse(server, 483, "")
        else:
            if request.method == "INVITE":
                if self._callee(uri.user).silent:
                    return False
                self.transactions.respond(
                    server, 100, "trying -- your call is important to us", fields=_EDGE
                )
            return self._answers(server) and (
                request.method != "INVITE" or self._may_call(server)
            )
        return False

    def _too_fast(self, server: Server) -> bool:
        path = server.path
        pair = (path.far[0], path.near[0])
        if self._options.allows(pair, self._now()):
            return False
        self._bans.ban(pair, self._now())
        self.note("banned", path, server.request, detail="OPTIONS too fast")
        return True

    def _answers(self, server: Server) -> bool:
        """Whether neither a fault nor the list of sources is in the way."""
        active = self._fault(server.path)
        if active is not None and active.fault is Fault.STATUS:
            self._refuse(server, int(active.value), "fault")
        elif self.plan.sources and server.path.far[0] not in self.plan.sources:
            self._refuse(server, 403, "source")
        else:
            return True
        return False

    def _may_call(self, server: Server) -> bool:
        request, path = server.request, server.path
        uri, now = parse_uri(request.uri), self._now()
        pair = (path.far[0], path.near[0])
        if self.plan.pair_rate and not self._pairs.allows(pair, now):
            self._bans.ban(pair, now)
            self.note("banned", path, request, detail="too many calls")
        elif not self._authentic(server):
            pass
        elif "timer" in (request.headers.get("Require") or ""):
            unsupported = [("Unsupported", "timer")]
            self._refuse(server, 420, "session timer", "Bad Extension", unsupported)
        elif not valid(uri.user):
            self._refuse(server, 400, "number", "Invalid phone number")
        elif self.plan.trunk_rate and not self._trunks.allows(
            uri.host.partition(".")[0], now
        ):
            self._refuse(server, 503, "rate", "Trunk CPS limit exceeded")
        else:
            return True
        return False

    def _authentic(self, server: Server) -> bool:
        expected, request = self.plan.credentials, server.request
        if expected is None:
            return True
        given = request.headers.get("Proxy-Authorization") or ""
        nonce = nonce_of(given)
        edge = server.path.edge if self.plan.nonce_per_edge else ""
        if nonce and self._nonces.get(nonce) == edge:
            if verify(given, expected, request.method, request.uri):
                return True
            self._refuse(server, 403, "credentials")
            return False
        nonce = secrets.token_urlsafe(18)
        self._nonces[nonce] = edge
        if len(self._nonces) > _NONCES:
            del self._nonces[next(iter(self._nonces))]
        field = ("Proxy-Authenticate", challenge(nonce))
        self._refuse(server, 407, "", "Proxy Authentication required", [field])
        return False

    def _refuse(
        self,
        server: Server,
        code: int,
        why: str,
        phrase: str = "",
        fields: Fields = (),
    ) -> None:
        self.note("refused", server.path, server.request, status=code, detail=why)
        self.transactions.respond(
            server,
            code,
            phrase,
            tag=secrets.token_hex(6),
            fields=[*_CORE, *fields],
        )

    def objection(self, request: Received, call: Call, path: Path) -> str:
        """Why a request within a dialog is dropped: a rewritten route or target."""
        if path.near[0] != call.path.near[0]:
            return f"the dialog is at {call.path.near[0]}"
        if request.uri != call.contact:
            return f"Request-URI is not {call.contact}"
        ours = call.record_routes if call.outgoing else call.record_routes[::-1]
        if [*map(parse_uri, request.routes)] != [*map(parse_uri, ours)]:
            return f"Route is not {', '.join(ours)}"
        return ""

    def verdict(self, request: Received) -> int:
        """A transfer is accepted, and goes no further."""
        return 202 if request.method == "REFER" else super().verdict(request)

    def registered(self, request: Received) -> Fields | None:
        """SIP domains have registrars, trunks have none."""
        if ".sip." not in f"{parse_uri(request.uri).host}.":
            return None
        user = parse_uri(request.recipient)
        self.bindings[f"{user.user}@{user.host}"] = request.contact
        expires = request.headers.get("Expires") or "3600"
        return [("Contact", f"<{request.contact}>;expires={expires}")]

    # ---- Callees -----------------------------------------------------------------

    def invited(self, call: Call) -> None:
        """Have the dialled callee do what its number says."""
        one = self._callee(call.number)
        self.note("rung", call.path, call.request, detail=call.number)
        if one.first > 100:
            self.ring(call, one.first)
        if not one.final:
            return

        def act() -> None:
            if call.outcome.done():
                return
            self.note("replied", call.path, call.request, status=one.final)
            if one.final >= 300:
                self.refuse(call, one.final, one.phrase)
                return
            self.answer(call)
            if one.hangs_up:
                self.timers.after(one.hangs_up, lambda: self.hang_up(call))

        if one.after:
            self.timers.after(one.after, act)
        else:
            act()

    def _callee(self, number: str) -> Callee:
        return self.callees.get(number) or callee(number)

    # ---- What the edges' proxies add ----------------------------------------------

    def contact(self, path: Path, call: Call) -> str:
        """An address of the inside, which nobody can reach."""
        return f"sip:{call.tag}@{_inside(path)}:5060"

    def record_routes(self, path: Path, call: Call, from_tag: str) -> list[str]:
        """Two, since an edge is between two networks; the newest first."""
        host = path.near[0]
        way = "" if path.transport == "udp" else f";transport={path.transport}"
        port = self.ports[path.transport]
        outer = f"<sip:{host}:{port}{way};r2=on;lr;ftag={from_tag}>"
        inner = f"<sip:{host}:{self.ports['udp']};r2=on;lr=on;ftag={from_tag}>"
        return [outer, inner] if call.outgoing else [inner, outer]

    def route_set(self, call: Call, routes: list[str], message: Received) -> list[str]:
        """The routes beyond the edge's own two, if those came back as they were."""
        ours = call.record_routes[::-1]
        if routes[:2] != ours:
            self.note("altered", call.path, message, detail="record-route")
        return routes[2:]

    def vias(self, path: Path, branch: str) -> list[str]:
        """The edge's and, below it, that of the inside."""
        host = f"{path.near[0]}:{self.ports[path.transport]}"
        way = path.transport.upper()
        return [f"SIP/2.0/{way} {host};rport;branch={branch}", _inner(path, branch)]

    def outward(self, hop: tuple[str, str, int], call: Call) -> Path:
        """From the edge address at which the call is."""
        return self._outward(hop, call.path)

    def body(self) -> bytes:
        """Media in the provider's own range."""
        return description(MEDIA, formats=self.formats)

    # ---- The ledger --------------------------------------------------------------

    def note(
        self,
        event: str,
        path: Path,
        message: Received | None = None,
        *,
        call: str = "",
        status: int = 0,
        detail: str = "",
    ) -> None:
        """One line of the ledger."""
        about: dict[str, str] = {}
        if message is not None:
            call = message.call_id
            about = {"method": message.method, "target": message.uri}
            detail = detail or f"CSeq {message.sequence}"
        self._ledger.record(
            event,
            edge=path.edge,
            address=path.near[0],
            product="pstn",
            transport=path.transport,
            source=path.source,
            call=call,
            status=status,
            detail=detail,
            **about,
        )


def _inside(path: Path) -> str:
    """An address of the inside that differs from edge address to edge address."""
    _, _, third, last = path.near[0].split(".")
    return f"172.25.{third}.{last}"


def _inner(path: Path, branch: str) -> str:
    return f"SIP/2.0/UDP {_inside(path)}:5060;rport;branch={branch}.in"


def _literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
