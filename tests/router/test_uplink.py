"""When our own uplink is suspected, and when no more."""

from router.uplink import PATIENCE, SURVEY, TOGETHER, Uplink


def test_most_edges_failing_together_raise_suspicion_once() -> None:
    uplink = Uplink()
    assert not uplink.failed(1, 1, 5.0)
    assert not uplink.failed(4, 8, 5.0)
    assert uplink.failed(5, 8, 5.0)
    assert uplink.suspect
    assert not uplink.verdicts(5.0)
    assert not uplink.failed(8, 8, 5.1)


def test_two_edges_failing_together_ask_for_a_survey_now_and_then() -> None:
    uplink = Uplink()
    assert not uplink.survey(1, 5.0)
    assert uplink.survey(2, 5.0)
    assert not uplink.verdicts(5.0 + SURVEY - 0.1)
    assert uplink.verdicts(5.0 + SURVEY)
    assert not uplink.survey(3, 5.0 + SURVEY + TOGETHER - 0.1)
    assert uplink.survey(3, 5.0 + SURVEY + TOGETHER)
    uplink.failed(5, 8, 20.0)
    assert not uplink.survey(5, 20.0)


def test_half_of_the_edges_answering_acquits_at_once() -> None:
    uplink = Uplink()
    assert uplink.acquitted(["a"], 2, 1.0) == ""
    uplink.failed(4, 4, 1.0)
    assert uplink.acquitted([], 4, 1.1) == ""
    assert uplink.acquitted(["a"], 4, 1.1) == ""
    assert uplink.acquitted(["a", "b"], 4, 1.2) == "2 of 4 edges answer"
    uplink.clear()
    assert not uplink.suspect
    assert uplink.verdicts(1.2)


def test_one_edge_answering_all_the_while_acquits_in_the_end() -> None:
    uplink = Uplink()
    uplink.failed(7, 8, 1.0)
    assert uplink.acquitted(["b"], 8, 1.0 + PATIENCE - 0.1) == ""
    assert uplink.acquitted([], 8, 1.0 + PATIENCE) == ""
    assert "b answers" in uplink.acquitted(["b"], 8, 1.0 + PATIENCE)
