"""The policy benchmark, shortened: a few virtual hours of each kind of day."""

import random

import pytest

from benchmarks.policy import RULES, main, misses, play
from benchmarks.replay import Use, Verdict, judge, mean, shipped
from benchmarks.series import FAMILIES, Series, build

HOURS = 0.5


def test_shipped_rule_meets_the_aims_on_short_days() -> None:
    """Regret aside: half an hour gives a recovery of minutes too much weight."""
    days = play("edge-router", list(FAMILIES), 1, HOURS)
    assert [miss for miss in misses(days) if "regret" not in miss] == []
    assert mean([verdict.regret for verdict in days.values()]) < 1.1


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_gives_the_same_day_and_the_same_verdict(family: str) -> None:
    assert build(family, 3, hours=HOURS) == build(family, 3, hours=HOURS)
    day = build(family, 3, hours=0.1)
    one, two = (judge(day, shipped(day, random.Random(9))) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("rule", list(RULES)[1:])
def test_rules_of_others_play_every_kind_of_day(rule: str) -> None:
    for family in FAMILIES:
        day = build(family, 1, hours=HOURS)
        assert judge(day, RULES[rule](day, random.Random(1))).regret >= 0.999


def flat(outages: list[tuple[int, float, float]]) -> Series:
    """Ten minutes of two edges at 10 and 30 ms."""
    return Series(
        family="flat",
        minutes=10,
        round_trips=[[0.010] * 10, [0.030] * 10],
        losses=[[0.0] * 10, [0.1] * 10],
        jitter=[[0.001] * 10, [0.001] * 10],
        outages=outages,
    )


def test_regret_is_use_over_the_best_at_every_moment() -> None:
    use = Use(times=[0.0, 300.0], edges=[0, 1], switches=1)
    verdict = judge(flat([]), use)
    assert verdict.bare == pytest.approx((0.010 + 0.030) / 0.020)
    assert verdict.regret == pytest.approx((0.010 + 0.050) / 0.020)
    assert (verdict.switches, verdict.detours, verdict.dead) == (1, 1, 0.0)


def test_time_on_a_dead_edge_is_counted_by_outage_and_outside_regret() -> None:
    outages = [(0, 60.0, 120.0), (0, 200.0, 260.0)]
    use = Use(times=[0.0, 62.0, 150.0, 200.5], edges=[0, 1, 0, 1])
    verdict = judge(flat(outages), use)
    assert verdict.dead == pytest.approx(2.5)
    assert verdict.longest == pytest.approx(2.0)


def test_misses_name_the_aim_and_the_day() -> None:
    bad = Verdict(1.2, 1.2, switches=6, detours=9, dead=9.0, longest=3.5)
    assert misses({("calm", 2): bad}) == [
        "mean regret 1.200 > 1.05",
        "calm, seed 2: regret 1.200 > 1.1",
        "calm, seed 2: 6 switches > 5",
        "calm, seed 2: 3.50 s dead > 3.0",
    ]
    good = Verdict(1.0, 1.0, switches=12, detours=9, dead=9.0, longest=3.0)
    assert misses({("lossy", 0): good}) == []


def test_command_prints_every_rule_and_succeeds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--family", "calm", "--hours", "0.1", "--seeds", "1"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n{rule}\n" in printed for rule in RULES)
    assert printed.endswith("All aims are met.\n")


def test_command_fails_when_an_aim_is_missed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.policy.MEAN_REGRET", 0.5)
    assert main(["--family", "calm", "--hours", "0.1", "--seeds", "1"]) == 1
    assert "mean regret" in capsys.readouterr().out
