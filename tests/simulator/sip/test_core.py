"""What the provider answers, drops and bans, seen from a raw socket."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import pytest

from simulator.faults import Fault
from simulator.provider import Provider
from simulator.sip.callees import Callee
from simulator.sip.digest import Credentials, credentials
from simulator.sip.message import Received, parse_uri
from simulator.sip.plan import SipPlan
from tests.simulator.sip.conftest import EDGES, PLAN, Wire
from tests.simulator.sip.raw import HOST, NUMBER, SOON, Raw, at


@contextlib.asynccontextmanager
async def ruled(plan: SipPlan) -> AsyncIterator[tuple[Provider, Raw, Raw]]:
    """A provider with its own rules, and sockets to ashburn and dublin."""
    async with Provider.start(EDGES, sip=plan) as provider:
        first = Raw(at(provider, "ashburn"))
        second = Raw(at(provider, "dublin"))
        try:
            yield provider, first, second
        finally:
            first.close()
            second.close()


async def answered(raw: Raw, call: str = "call-1") -> Received:
    """A call that was answered."""
    raw.send(raw.request(call=call, branch=call))
    return await raw.until(200)


# ---- What an answer looks like ---------------------------------------------------


async def test_invite_is_answered_by_the_edge_and_then_by_the_core(
    wire: Wire, provider: Provider
) -> None:
    raw = wire()
    raw.send(raw.request(fields=["Record-Route: <sip:127.30.0.1:5070;lr;t=a~b>"]))

    trying, ringing = await raw.receive(), await raw.receive()
    answer = await raw.receive()

    assert [trying.code, ringing.code, answer.code] == [100, 180, 200]
    assert trying.phrase == "trying -- your call is important to us"
    host, port = raw.far
    inner, outer, ours = answer.record_routes
    assert ours == "<sip:127.30.0.1:5070;lr;t=a~b>"
    for one in (inner, outer):
        uri = parse_uri(one)
        assert uri.hop == ("udp", host, port)
        assert {"r2=on", "ftag=ours"} < uri.parameters
    assert parse_uri(answer.contact).host == "172.25.1.1"
    assert len(answer.vias) == 1
    assert answer.via.parameters["rport"] == str(raw.near[1])
    assert answer.via.parameters["received"] == raw.near[0]
    assert b"c=IN IP4 168.86.128.1" in answer.body


async def test_repeated_invite_rings_once_and_gets_the_last_answer_again(
    wire: Wire, provider: Provider
) -> None:
    raw = wire()
    raw.send(raw.request("INVITE", f"sip:+155548600000@{HOST}"))
    first = await raw.until(486)

    raw.send(raw.request("INVITE", f"sip:+155548600000@{HOST}"))
    second = await raw.until(486)

    assert first.to_tag == second.to_tag
    assert sum(provider.sip.rung().values()) == 1
    assert provider.ledger.events("repeated")


# ---- What an edge refuses --------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        (f"sip:5551234567@{HOST}", 400),
        (f"sip:{NUMBER}@127.20.1.1", 403),
        (f"sip:+155548600000@{HOST}", 486),
        (f"sip:+155560300000@{HOST}", 603),
        (f"sip:+155550300000@{HOST}", 503),
        (f"sip:{NUMBER}@trunk.pstn.dublin.twilio.com", 200),
        (f"sip:{NUMBER}@trunk.sip.twilio.com", 200),
    ],
)
async def test_invite_gets_the_status_of_its_number_and_host(
    wire: Wire, uri: str, status: int
) -> None:
    raw = wire()
    raw.send(raw.request("INVITE", uri))

    assert (await raw.until(status)).code == status


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
@pytest.mark.parametrize("host", ["pbx.example.com", "x.pstn.tokyo.twilio.com"])
async def test_unknown_host_is_met_with_silence(
    wire: Wire, provider: Provider, method: str, host: str
) -> None:
    raw = wire()
    raw.send(raw.request(method, f"sip:{NUMBER}@{host}"))

    await provider.ledger.wait("unknown-host", detail=host)
    await raw.silence()


async def test_number_of_silence_has_no_answer_and_that_of_trying_no_other(
    wire: Wire, provider: Provider
) -> None:
    silent, trying = wire(), wire()
    silent.send(silent.request("INVITE", f"sip:+155500000000@{HOST}"))
    trying.send(
        trying.request("INVITE", f"sip:+155510000000@{HOST}", call="c2", branch="2")
    )

    assert (await trying.receive()).code == 100
    await trying.silence()
    await silent.silence()
    assert provider.sip.rung() == {"c2": 1}


async def test_callee_can_be_given_by_number(wire: Wire, provider: Provider) -> None:
    provider.sip.core.callees[NUMBER] = Callee(
        first=183, final=503, after=0.01, phrase="concurrent call limit"
    )
    raw = wire()
    raw.send(raw.request())

    assert (await raw.until(183)).code == 183
    assert (await raw.until(503)).phrase == "concurrent call limit"


async def test_request_that_may_not_be_forwarded_is_refused(wire: Wire) -> None:
    raw = wire()
    raw.send(raw.request().replace(b"Max-Forwards: 70", b"Max-Forwards: 0"))

    assert (await raw.until(483)).code == 483


async def test_method_that_nobody_knows_is_refused(wire: Wire) -> None:
    raw = wire()
    raw.send(raw.request("SUBSCRIBE"))

    assert (await raw.until(405)).code == 405


async def test_session_timer_is_taken_out_and_none_may_be_required(wire: Wire) -> None:
    raw = wire()
    timer = ["Supported: timer", "Session-Expires: 1800"]
    raw.send(raw.request(fields=timer))
    answer = await raw.until(200)
    assert answer.headers.get("Session-Expires") is None

    raw.send(raw.request(call="2", branch="2", fields=["Require: timer"]))
    assert (await raw.until(420)).headers.get("Unsupported") == "timer"


async def test_user_of_a_sip_domain_registers_and_that_of_a_trunk_does_not(
    wire: Wire, provider: Provider
) -> None:
    raw = wire()
    raw.send(raw.request("REGISTER", "sip:example.sip.twilio.com"))
    answer = await raw.until(200)
    contact = f"sip:a@{raw.near[0]}:{raw.near[1]}"
    assert answer.headers.get("Contact") == f"<{contact}>;expires=3600"
    assert [*provider.sip.core.bindings.values()] == [contact]

    raw.send(raw.request("REGISTER", f"sip:{HOST}", call="2", branch="2"))
    assert (await raw.until(405)).code == 405


async def test_transfer_is_accepted_within_a_call(wire: Wire) -> None:
    raw = wire()
    answer = await answered(raw)
    raw.send(raw.within("ACK", answer, cseq=1))
    raw.send(raw.within("REFER", answer, cseq=2))
    assert (await raw.until(202)).sequence == 2


async def test_edge_with_a_status_refuses_every_call(
    wire: Wire, provider: Provider
) -> None:
    provider.edges["ashburn"].fail(Fault.STATUS, 500)
    raw = wire()
    raw.send(raw.request())
    assert (await raw.until(500)).code == 500
    raw.send(raw.request("OPTIONS", branch="2"))
    assert (await raw.until(500)).method == "OPTIONS"


async def test_source_that_is_not_on_the_list_learns_its_address() -> None:
    async with ruled(SipPlan(sources=("127.0.0.9",))) as (_, raw, _second):
        raw.send(raw.request())

        answer = await raw.until(403)
        assert answer.via.parameters["received"] == "127.0.0.1"


# ---- Limits ----------------------------------------------------------------------


async def heard_again(raw: Raw) -> bool:
    """Call until there is an answer."""
    for number in itertools.count():
        raw.send(raw.request(branch=f"after-{number}", call=f"after-{number}"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SOON):
                return (await raw.receive()).code == 100
    raise AssertionError


async def test_options_too_fast_are_banned_for_a_while(
    wire: Wire, provider: Provider
) -> None:
    raw, neighbour = wire(), wire(at(provider, "ashburn", 1))
    raw.send(raw.request("OPTIONS", f"sip:{HOST}", branch="1"))
    assert (await raw.receive()).code == 200

    raw.send(raw.request("OPTIONS", f"sip:{HOST}", branch="2"))
    await provider.ledger.wait("banned", detail="OPTIONS too fast")
    raw.send(raw.request())
    await provider.ledger.wait("ignored", method="INVITE")
    neighbour.send(neighbour.request("OPTIONS", f"sip:{HOST}", branch="3"))

    assert (await neighbour.receive()).code == 200
    assert provider.sip.fastest_options(PLAN.options_period) == 2
    await raw.silence()
    assert await heard_again(raw)


async def test_repeated_options_are_one(wire: Wire, provider: Provider) -> None:
    raw = wire()
    for _ in range(3):
        raw.send(raw.request("OPTIONS", f"sip:{HOST}"))

    assert [(await raw.receive()).code for _ in range(3)] == [200, 200, 200]
    assert provider.sip.fastest_options(10) == 1


async def test_trunk_that_calls_too_often_is_told_why() -> None:
    async with ruled(SipPlan(trunk_rate=1)) as (provider, first, second):
        await answered(first)
        second.send(second.request(call="c2", branch="2"))

        assert (await second.until(503)).phrase == "Trunk CPS limit exceeded"
        uri = f"sip:{NUMBER}@other.pstn.twilio.com"
        second.send(second.request("INVITE", uri, call="c3", branch="3"))
        assert (await second.until(200)).call_id == "c3"
        assert provider.ledger.events("refused", detail="rate")


async def test_pair_of_addresses_with_too_many_calls_is_banned() -> None:
    async with ruled(SipPlan(pair_rate=2)) as (provider, raw, second):
        for number in range(3):
            raw.send(raw.request(call=f"c{number}", branch=f"{number}"))
        second.send(second.request(call="other", branch="other"))

        await provider.ledger.wait("banned", detail="too many calls")
        assert (await second.until(200)).code == 200
        assert set(provider.sip.rung()) == {"c0", "c1", "other"}


# ---- Authentication --------------------------------------------------------------

KNOWN = Credentials("pbx", "secret")


def again(raw: Raw, challenged: Received, uri: str = "") -> bytes:
    """The INVITE with credentials for a challenge."""
    target = f"sip:{NUMBER}@{HOST}"
    asked = challenged.headers["Proxy-Authenticate"]
    value = credentials(asked, KNOWN, "INVITE", uri or target, "c")
    field = f"Proxy-Authorization: {value}"
    return raw.request("INVITE", target, cseq=2, branch="again", fields=[field])


async def test_credentials_for_a_challenge_are_good() -> None:
    async with ruled(SipPlan(credentials=KNOWN)) as (_, raw, _second):
        raw.send(raw.request())
        challenged = await raw.until(407)
        assert 'realm="sip.twilio.com"' in challenged.headers["Proxy-Authenticate"]

        raw.send(again(raw, challenged))

        assert (await raw.until(200)).sequence == 2


async def test_credentials_for_another_target_are_refused() -> None:
    async with ruled(SipPlan(credentials=KNOWN)) as (_, raw, _second):
        raw.send(raw.request())
        challenged = await raw.until(407)

        raw.send(again(raw, challenged, "sip:elsewhere@example.com"))

        assert (await raw.until(403)).code == 403


@pytest.mark.parametrize(("per_edge", "status"), [(True, 407), (False, 200)])
async def test_nonce_is_good_at_the_edge_that_gave_it_or_at_all(
    per_edge: bool, status: int
) -> None:
    plan = SipPlan(credentials=KNOWN, nonce_per_edge=per_edge)
    async with ruled(plan) as (_, raw, second):
        raw.send(raw.request())
        challenged = await raw.until(407)

        second.send(again(second, challenged))

        assert (await second.until(200, 407)).code == status


# ---- Dialogs ---------------------------------------------------------------------


async def test_dialog_with_its_route_set_is_obeyed(
    wire: Wire, provider: Provider
) -> None:
    raw = wire()
    answer = await answered(raw)

    raw.send(raw.within("ACK", answer, cseq=1))
    await provider.ledger.wait("ack")
    raw.send(raw.within("BYE", answer, cseq=2))

    while (await raw.until(200)).method != "BYE":
        pass
    assert (await provider.ledger.wait("ended")).detail == "remote"


@pytest.mark.parametrize("method", ["ACK", "BYE", "INVITE"])
@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("uri", "Request-URI"),
        ("no route", "Route"),
        ("one route", "Route"),
        ("turned", "Route"),
    ],
)
async def test_request_with_a_changed_route_or_target_is_dropped(
    wire: Wire, provider: Provider, method: str, what: str, why: str
) -> None:
    raw = wire()
    answer = await answered(raw)
    inner, outer = answer.record_routes
    routes = {
        "uri": [outer, inner],
        "no route": [],
        "one route": [outer],
        "turned": [inner, outer],
    }[what]
    uri = f"sip:x@{raw.far[0]}" if what == "uri" else ""

    raw.send(raw.within(method, answer, cseq=2, uri=uri, routes=routes))

    dropped = await provider.ledger.wait("dropped", method=method)
    assert dropped.detail.startswith(why)
    assert not provider.ledger.events("ended")


async def test_dialog_does_not_move_to_another_address(
    wire: Wire, provider: Provider
) -> None:
    raw, other = wire(), wire(at(provider, "ashburn", 1))
    answer = await answered(raw)

    other.send(other.within("BYE", answer, cseq=2))

    dropped = await provider.ledger.wait("dropped", method="BYE")
    assert dropped.detail == "the dialog is at 127.20.1.1"
    await other.silence()


async def test_call_without_an_ack_is_hung_up() -> None:
    async with ruled(SipPlan(t1=0.005)) as (provider, raw, _second):
        await answered(raw)

        again = 0
        while (message := await raw.receive()).code:
            again += message.code == 200

        assert message.method == "BYE"
        assert again >= 3
        assert provider.ledger.events("unacknowledged")
        assert len(message.vias) == 2
        assert message.vias[1].startswith("SIP/2.0/UDP 172.25.")


async def test_second_copy_at_another_edge_is_merged(
    wire: Wire, provider: Provider
) -> None:
    raw, other = wire(), wire(at(provider, "dublin"))
    ringing = f"sip:+155518000000@{HOST}"
    raw.send(raw.request("INVITE", ringing))
    await raw.until(180)

    other.send(other.request("INVITE", ringing, branch="other"))

    assert (await other.receive()).code == 482
    assert (await provider.ledger.wait("merged")).edge == "dublin"
    assert provider.sip.rung() == {"call-1": 1}


async def test_copy_after_a_failure_is_a_new_call(
    wire: Wire, provider: Provider
) -> None:
    raw, other = wire(), wire(at(provider, "dublin"))
    failing = f"sip:+155550300000@{HOST}"
    raw.send(raw.request("INVITE", failing))
    await raw.until(503)

    other.send(other.request("INVITE", failing, branch="other"))

    assert (await other.until(503)).code == 503
    assert provider.sip.rung() == {"call-1": 2}


async def test_thawed_edge_takes_what_waited_and_its_late_copy_is_merged(
    wire: Wire, provider: Provider
) -> None:
    raw, other = wire(), wire(at(provider, "dublin"))
    provider.edges["ashburn"].freeze()
    raw.send(raw.request())
    await raw.silence()
    other.send(other.request(branch="other"))
    await other.until(200)

    provider.edges["ashburn"].heal()

    assert (await raw.receive()).code == 482
    assert provider.sip.rung() == {"call-1": 1}


@pytest.mark.parametrize("change", ["via", "record-route"])
async def test_answer_with_changed_fields_is_noted(
    wire: Wire, provider: Provider, change: str
) -> None:
    raw = wire()
    host, port = raw.near
    calling = asyncio.get_running_loop().create_task(
        provider.sip.call([f"sip:{host}:{port};edge=ashburn"])
    )
    invite = await raw.until(0)
    raw.far = invite.via.host, invite.via.port or 0
    lines = [
        "SIP/2.0 200 OK",
        *(f"Via: {via}" for via in invite.vias[: 1 if change == "via" else 2]),
        *(f"Record-Route: {route}" for route in invite.record_routes[:1]),
        f"From: {invite.sender}",
        f"To: {invite.recipient};tag=theirs",
        f"Call-ID: {invite.call_id}",
        f"CSeq: {invite.sequence} INVITE",
        f"Contact: <sip:{host}:{port}>",
        "",
        "",
    ]

    raw.send("\r\n".join(lines).encode())

    assert (await provider.ledger.wait("altered")).detail == change
    await calling
