from simulator.sip.limits import MOST, Bans, Rate


def test_rate_allows_so_many_in_each_period_for_each_key() -> None:
    rate = Rate(2, 10.0)

    assert [rate.allows("a", now) for now in (0.0, 1.0, 2.0)] == [True, True, False]
    assert rate.allows("b", 2.0)
    assert [rate.allows("a", now) for now in (9.9, 10.0, 10.5, 11.0)] == [
        False,
        True,
        False,
        True,
    ]


def test_rate_forgets_the_oldest_keys() -> None:
    rate = Rate(1, 10.0)
    for key in range(MOST + 1):
        assert rate.allows(key, 0.0)

    assert not rate.allows(MOST, 1.0)
    assert rate.allows(0, 1.0)


def test_ban_holds_for_its_time_and_for_its_key() -> None:
    bans = Bans(5.0)
    bans.ban("a", 1.0)

    assert bans.holds("a", 5.9)
    assert not bans.holds("b", 5.9)
    assert not bans.holds("a", 6.0)
    assert not bans.until


def test_bans_forget_the_oldest() -> None:
    bans = Bans(5.0)
    for key in range(MOST + 1):
        bans.ban(key, 0.0)

    assert not bans.holds(0, 1.0)
    assert bans.holds(MOST, 1.0)
