"""What the simulator can be told while it runs, one command a line."""

from simulator.faults import Place, parse
from simulator.nameserver import EVERYTHING, DnsFault
from simulator.plan import seconds
from simulator.provider import Provider

HELP = """\
commands on standard input, one a line; each is answered by one line on standard output:
  ashburn refuse           a fault of all addresses of an edge; any of:
                           refuse reset kill blackhole freeze mute stall
                           expired wrong-name unknown-ca
                           status=503 slow-first-byte=2s slow-body=200ms cut-body
  127.20.1.2 blackhole     the same for one address
  ashburn/udp blackhole    the same for one transport: https, or udp tcp tls of SIP
  us1 status=500           the same for a region; answers only (the line above)
  ashburn heal             no fault any more; `heal` alone ends every fault
  ashburn round-trip=80ms  how far away the edge is from now on
  dns servfail             a fault of the name server for every name; any of:
                           nxdomain servfail timeout empty heal
  dns nxdomain ashburn     the same for the names with an edge's label, or for one name
  dns answer=127.20.1.9 api.ashburn.us1.twilio.com
                           a changed answer for one name; several joined by commas
"""


class CommandError(Exception):
    """A command that says nothing the simulator can do."""


def obey(provider: Provider, line: str) -> None:
    """Carry out one command; raises CommandError with the reason."""
    words = line.split()
    try:
        match words:
            case ["heal"]:
                provider.heal()
            case ["dns", order, *scope] if len(scope) <= 1:
                _dns(provider, order, scope[0] if scope else EVERYTHING)
            case [name, order]:
                _place(provider, name, order)
            case _:
                raise CommandError("write PLACE FAULT, `dns FAULT [NAME]` or `heal`")
    except ValueError as error:
        raise CommandError(str(error)) from None


def _place(provider: Provider, name: str, order: str) -> None:
    key, given, value = order.partition("=")
    if key == "round-trip" and given:
        if name not in provider.edges:
            raise CommandError(f"no edge {name!r}")
        provider.edges[name].round_trip = min(seconds(value), 3600.0)
        return
    place = _find(provider, name)
    if order == "heal":
        place.heal()
    else:
        place.set(parse(order))


def _find(provider: Provider, name: str) -> Place:
    places: dict[str, Place] = {**provider.edges, **provider.regions}
    for edge in provider.edges.values():
        places |= {
            one.name: one for one in (*edge.addresses, *edge.transports.values())
        }
    if name not in places:
        raise CommandError(
            f"no edge, address or region {name!r}; edges: {', '.join(provider.edges)}; "
            f"regions: {', '.join(provider.regions)}"
        )
    return places[name]


def _dns(provider: Provider, order: str, scope: str) -> None:
    key, given, value = order.partition("=")
    if key == "answer" and given and scope != EVERYTHING:
        provider.dns.change(scope, value.split(","))
    elif order == "heal":
        provider.dns.heal(scope)
    elif order in tuple(DnsFault):
        provider.dns.fail(DnsFault(order), scope)
    else:
        raise CommandError(
            f"no fault {order!r} of the name server; there are {', '.join(DnsFault)}, "
            "and answer=ADDRESS,... NAME"
        )
