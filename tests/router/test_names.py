"""What is made of answers about a name, with the time passed in."""

import math

import pytest

from router import names
from router.location import Location, plain
from router.names import EMPTY, FAMILIES, GONE, Answer, Finding, Memory, Verdict

A = names.found(["192.0.2.1"], ttl=60.0)
AAAA = names.found(["2001:db8::1"], ttl=30.0)
TIMEOUT = names.failed("timeout")


def learnt(*rounds: tuple[Finding, Finding], now: float = 100.0) -> Memory:
    """The memory after these look-ups, all at one time."""
    memory = Memory()
    for findings in rounds:
        memory = names.learn(memory, by_family(findings), now=now)
    return memory


def by_family(findings: tuple[Finding, Finding]) -> dict[str, Finding]:
    return dict(zip(FAMILIES, findings, strict=True))


def test_answer_has_failed_where_nothing_of_it_is_new() -> None:
    assert learnt((TIMEOUT, TIMEOUT)).answer.failed
    assert learnt((A, AAAA), (TIMEOUT, TIMEOUT)).answer.failed
    assert not learnt((A, TIMEOUT)).answer.failed
    assert not names.recall(plain(["192.0.2.1"])).answer.failed


def test_failed_lookup_says_why_and_has_no_address() -> None:
    assert names.failed("timeout") == Finding(Verdict.FAILED, error="timeout")


def test_answer_of_both_families_is_used_for_the_shorter_ttl() -> None:
    memory = learnt((A, AAAA))
    assert memory.answer == Answer(
        plain(["192.0.2.1", "2001:db8::1"]), ttl=30.0, learnt=100.0
    )
    assert memory.due == 130.0


@pytest.mark.parametrize(
    ("ttl", "used"), [(0.0, 5.0), (5.0, 5.0), (60.0, 60.0), (1e6, 600.0)]
)
def test_ttl_is_kept_between_five_seconds_and_ten_minutes(
    ttl: float, used: float
) -> None:
    memory = learnt((names.found(["192.0.2.1"], ttl), EMPTY))
    assert memory.answer.ttl == used


def test_empty_family_beside_a_found_one_is_believed() -> None:
    memory = learnt((A, AAAA), (A, EMPTY))
    assert memory.answer.addresses == ("192.0.2.1",)
    assert not memory.answer.stale


def test_failed_family_beside_a_found_one_keeps_its_addresses_as_stale() -> None:
    memory = learnt((A, AAAA), (A, TIMEOUT))
    assert memory.answer.addresses == ("192.0.2.1", "2001:db8::1")
    assert memory.answer.stale
    assert memory.answer.error == "timeout"


def test_partial_failure_is_looked_at_again_within_a_minute() -> None:
    assert learnt((names.found(["192.0.2.1"], 600.0), TIMEOUT)).answer.ttl == 60.0
    assert learnt((names.found(["192.0.2.1"], 600.0), EMPTY)).answer.ttl == 600.0


def test_locations_come_by_priority_and_each_once() -> None:
    at = [
        Location("192.0.2.2", 5060, 20, 1),
        Location("2001:db8::1", 5060, 10, 1),
        Location("192.0.2.2", 5070, 10, 1),
        Location("192.0.2.2", 5060, 10, 1),
    ]
    findings = {
        str(number): Finding(Verdict.FOUND, (one,), 60.0)
        for number, one in enumerate(at)
    }
    memory = names.learn(Memory(), findings, now=0.0)
    assert memory.answer.locations == (at[3], at[2], at[1])
    assert memory.answer.addresses == (
        "192.0.2.2:5060",
        "192.0.2.2:5070",
        "[2001:db8::1]:5060",
    )


def test_question_no_longer_asked_is_of_the_past() -> None:
    one, two = (names.found([f"192.0.2.{n}"], 60.0) for n in (1, 2))
    memory = names.learn(Memory(), {"gw1 A": one, "gw2 A": two}, now=0.0)
    memory = names.learn(memory, {"gw1 A": one, "gw3 A": TIMEOUT}, now=60.0)
    assert memory.answer.addresses == ("192.0.2.1",)
    memory = names.learn(memory, {"gw1 A": TIMEOUT, "gw3 A": two}, now=120.0)
    assert memory.answer.addresses == ("192.0.2.1", "192.0.2.2")


def test_failed_family_that_never_had_addresses_makes_nothing_stale() -> None:
    memory = learnt((A, TIMEOUT))
    assert memory.answer.addresses == ("192.0.2.1",)
    assert not memory.answer.stale
    assert memory.answer.error == "timeout"


@pytest.mark.parametrize(
    ("findings", "error"),
    [
        ((TIMEOUT, TIMEOUT), "timeout"),
        ((names.failed("SERVFAIL"), EMPTY), "SERVFAIL"),
        ((EMPTY, EMPTY), "empty answer"),
        ((GONE, TIMEOUT), "timeout"),
        ((GONE, EMPTY), "empty answer"),
    ],
)
def test_look_up_without_a_verdict_keeps_the_last_good_answer(
    findings: tuple[Finding, Finding], error: str
) -> None:
    memory = names.learn(learnt((A, AAAA), now=100.0), by_family(findings), now=160.0)
    assert memory.answer == Answer(
        plain(["192.0.2.1", "2001:db8::1"]),
        ttl=1.0,
        stale=True,
        error=error,
        learnt=100.0,
    )


def test_failures_keep_the_addresses_for_ever_and_are_retried_ever_less() -> None:
    memory = learnt((A, EMPTY))
    waits = []
    lost = by_family((TIMEOUT, TIMEOUT))
    for _ in range(1000):
        memory = names.learn(memory, lost, now=memory.due)
        waits.append(memory.answer.ttl)
    assert waits[:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert memory.answer.addresses == ("192.0.2.1",)
    assert memory.answer.learnt == 100.0


def test_failure_without_a_good_answer_before_is_not_stale() -> None:
    memory = learnt((TIMEOUT, TIMEOUT))
    assert memory.answer == Answer(ttl=1.0, error="timeout")


def test_good_answer_after_failures_is_fresh_and_forgets_them() -> None:
    memory = learnt((A, EMPTY), (TIMEOUT, TIMEOUT), (A, EMPTY), (TIMEOUT, TIMEOUT))
    assert memory.failures == 1


def test_nxdomain_of_both_families_means_gone() -> None:
    memory = learnt((A, AAAA), (GONE, GONE))
    assert memory.answer == Answer(gone=True, ttl=30.0, learnt=100.0)
    assert memory.due == 130.0


def test_nxdomain_of_one_family_beside_addresses_of_the_other_is_not_gone() -> None:
    memory = learnt((A, GONE))
    assert memory.answer.addresses == ("192.0.2.1",)
    assert not memory.answer.gone


def test_failure_after_gone_brings_nothing_back() -> None:
    memory = learnt((A, EMPTY), (GONE, GONE), (TIMEOUT, TIMEOUT))
    assert memory.answer.addresses == ()


def test_order_of_an_answer_does_not_matter() -> None:
    one = names.found(["192.0.2.10", "192.0.2.9"], 60.0)
    other = names.found(["192.0.2.9", "192.0.2.10", "192.0.2.9"], 60.0)
    assert one == other
    assert one.locations == plain(["192.0.2.9", "192.0.2.10"])


def test_answer_of_many_addresses_is_cut() -> None:
    many = names.found([f"192.0.2.{n}" for n in range(200)], 60.0)
    assert len(many.locations) == names.MAX_ADDRESSES


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "169.254.169.254",
        "::",
        "ff02::1",
        "fe80::1",
        "::ffff:192.0.2.1",
    ],
)
def test_address_that_no_provider_can_have_is_no_answer(address: str) -> None:
    assert names.found([address], 60.0) == EMPTY


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fd00::1"])
def test_address_of_the_site_is_an_answer(address: str) -> None:
    assert names.found([address], 60.0).locations == plain([address])


def test_hurry_makes_a_name_due_at_once() -> None:
    memory = names.hurry(learnt((A, EMPTY), now=100.0), now=110.0)
    assert memory.due == 110.0


def test_hurry_soon_after_a_look_up_waits_for_the_limit() -> None:
    memory = names.hurry(learnt((A, EMPTY), now=100.0), now=100.2)
    assert memory.due == 100.0 + names.HURRY


def test_hurry_does_not_put_off_what_is_due_sooner() -> None:
    memory = learnt((TIMEOUT, TIMEOUT), now=100.0)
    assert names.hurry(memory, now=100.9).due == 101.0


def test_literal_is_answered_for_ever_and_never_due() -> None:
    memory = names.learn(
        Memory(), names.settled(["2001:db8::1"], ttl=math.inf), now=100.0
    )
    assert memory.answer.addresses == ("2001:db8::1",)
    assert memory.due == math.inf
    assert names.hurry(memory, now=200.0) == memory


def test_hosts_answer_of_both_families_puts_ipv4_first() -> None:
    findings = names.settled(["::1", "127.0.0.1"], ttl=10.0)
    found = {family: finding.locations for family, finding in findings.items()}
    assert found == {"A": plain(["127.0.0.1"]), "AAAA": plain(["::1"])}
    alone = names.settled(["127.0.0.1"], ttl=10.0)
    assert alone["AAAA"].verdict is Verdict.EMPTY


def test_recalled_addresses_are_stale_until_the_first_look_up() -> None:
    memory = names.recall(plain(["192.0.2.1", "2001:db8::1"]))
    assert memory.answer == Answer(plain(["192.0.2.1", "2001:db8::1"]), stale=True)
    assert memory.due == -math.inf
    lost = by_family((TIMEOUT, TIMEOUT))
    assert not names.learn(memory, by_family((A, AAAA)), now=1.0).answer.stale
    assert names.learn(memory, lost, now=1.0).answer.stale


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        (Answer(plain(["192.0.2.1"]), ttl=5.0, learnt=7.0), False),
        (Answer(plain(["192.0.2.2"])), True),
        (Answer(plain(["192.0.2.1"]), stale=True), True),
        (Answer(plain(["192.0.2.1"]), gone=True), True),
        (Answer(plain(["192.0.2.1"]), error="timeout"), True),
    ],
)
def test_answer_differs_by_what_its_user_must_know(
    other: Answer, differs: bool
) -> None:
    assert Answer(plain(["192.0.2.1"])).differs(other) is differs


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("192.0.2", None),
        ("example.com", None),
        ("", None),
    ],
)
def test_literal_is_told_from_a_name(name: str, address: str | None) -> None:
    assert names.literal(name) == address


def test_names_compare_without_case_and_final_dot() -> None:
    assert names.canonical("API.Example.COM.") == "api.example.com"


def test_hosts_file_gives_every_address_of_a_name() -> None:
    hosts = names.parse_hosts(
        "127.0.0.1 localhost Loop.Example. # me\n"
        "::1\tlocalhost\n"
        "\n# comment\n"
        "not-an-address evil\n"
        "192.0.2.7\n"
    )
    assert hosts == {
        "localhost": ("127.0.0.1", "::1"),
        "loop.example": ("127.0.0.1",),
    }


def test_hosts_file_is_read_up_to_its_limits() -> None:
    lines = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255} host{n}" for n in range(10_050)]
    hosts = names.parse_hosts("\n".join(lines) + "\n192.0.2.1 host0")
    assert len(hosts) == names.MAX_HOSTS
    assert hosts["host0"] == ("10.0.0.0", "192.0.2.1")
    same = "\n".join(f"10.0.0.{n} one" for n in range(100))
    assert len(names.parse_hosts(same)["one"]) == names.MAX_ADDRESSES
