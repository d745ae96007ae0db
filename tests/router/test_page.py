"""The status page: what a person reads there."""

import dataclasses
import html.parser
import re
import zoneinfo

from router.egress import Privacy
from router.health import State
from router.page import POLICY, render
from router.status import BgpStatus, LinkStatus, Past, Pinned, ServiceStatus
from tests.router.story import EPOCH, told


class Reader(html.parser.HTMLParser):
    """Reads a page: its text, its tags, and whether each tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def test_page_says_who_is_home_and_why_and_what_is_broken_since_when() -> None:
    status = told()
    text = " ".join(read(render(status)).words)
    assert status.verdict in text
    assert "ashburn is home since 11:01: gains 23.0 ms" in text
    assert "11:20 sydney is down: 2 failures, the last: refused" in text
    assert "home moves from umatilla to ashburn" in text
    assert "not fit to be home: down" in text
    for number in ("48211", "41"):
        assert number in text


def test_times_are_those_of_the_zone() -> None:
    text = render(told(), zoneinfo.ZoneInfo("Asia/Tokyo"))
    assert "sydney is down since 11:20" in text  # the sentence is the status's own
    assert "<time>20:20</time>" in text


def test_page_needs_nothing_but_itself() -> None:
    page = render(told())
    reader = read(page)
    assert not reader.tags & {"script", "img", "link", "iframe", "object", "form"}
    assert not {"href", "src", "style"} & {*reader.attributes}
    assert "script-src" not in POLICY
    assert "default-src 'none'" in POLICY


def test_style_is_the_one_that_the_policy_allows() -> None:
    import base64
    import hashlib

    (style,) = re.findall("<style>(.*?)</style>", render(told()), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in POLICY


def test_what_others_have_said_is_text() -> None:
    bad = Past(EPOCH, "flip", "x", "down", "<script>alert(1)</script>\x1b[31m")
    status = dataclasses.replace(told(), past=(bad,))
    page = render(status)
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page


def test_operators_doings_are_shown() -> None:
    status = told()
    edges = (dataclasses.replace(status.edges[0], drained=EPOCH), *status.edges[1:])
    pinned = Pinned(status.edges[0].name, EPOCH + 7200.0)
    page = render(dataclasses.replace(status, edges=edges, pinned=pinned))
    assert "drained since 10:00" in page
    assert "pinned until 12:00" in page


def test_machines_of_the_site_are_listed_with_their_faults() -> None:
    one = ServiceStatus(
        "webhooks", "https", "10.0.0.20:8080", State.DOWN, EPOCH, "refused", ()
    )
    status = dataclasses.replace(told(), receivers=(one,), flows=(), past=())
    text = " ".join(read(render(status)).words)
    assert "webhooks 10.0.0.20:8080 down 10:00 refused" in text
    assert "Flows" not in text
    assert "What changed" not in text


def test_links_are_listed_with_what_bird_says() -> None:
    bgp = BgpStatus("ix", "Established", "", (), "")
    one = LinkStatus(
        "east", "DC2", "link1", Privacy.EXPOSED, "link1 is down", ("a-ix",), bgp
    )
    two = dataclasses.replace(one, name="west", interface=None, bgp=None)
    status = dataclasses.replace(told(), links=(one, two))
    words = " ".join(read(render(status)).words)
    shown = "east DC2 link1 exposed a-ix Established, no route link1 is down"
    assert shown in words
    assert "west DC2 - exposed a-ix - link1 is down" in words


def test_links_are_shown_with_what_they_carry() -> None:
    text = " ".join(read(render(told())).words)
    assert "ix1 3 0.26 Mbit/s 0.01 Mbit/s 0.63 Mbit/s 1.00 Mbit/s 7" in text


def test_daemon_that_has_just_begun_has_a_page_already() -> None:
    status = told(at=10.0)
    early = dataclasses.replace(status, troubles=(), home=None, home_reason="")
    assert "What is broken" not in render(early)
