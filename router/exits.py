"""Has private edges used only while they are really private.

The lookout asks the kernel by which way packets to each of their addresses would leave.
What it finds bars an address in the table, or lifts the bar.
"""

from collections.abc import Callable, Collection, Mapping

from protocols.net.tasks import Tasks
from router import events
from router.bird import Bird, Questions
from router.birdc import Evidence
from router.checker import Checker
from router.egress import Privacy, Verdict, Way
from router.kernel import Kernel
from router.links import Link, Links
from router.logs import Log
from router.lookout import Lookout
from router.records import Exit
from router.standing import link_status, way_of, worst
from router.status import LinkStatus


class Exits:
    """The ways out by all links, as long as the daemon runs."""

    def __init__(
        self,
        links: Links,
        checker: Checker,
        *,
        log: Log,
        tasks: Tasks,
        refit: Callable[[], None],
        kernel: Callable[[], Kernel] = Kernel,
    ) -> None:
        """`refit` has sockets fit interfaces as they are now; it never raises."""
        self._links = links
        self._checker = checker
        self._log = log
        self._tasks = tasks
        self._refit = refit
        self._kernel = kernel
        self._ways: dict[Exit, Way] = {}
        self._edges: Mapping[Exit, str] = {}
        self._lookout: Lookout | None = None
        self._birds: dict[str, Bird] = {}
        self._told: dict[str, Verdict] = {}
        self._asking = False

    def watch(self) -> None:
        """Look after the ways to all addresses that there are by now, and look at once.

        So no new address is probed before it is known by which way.
        """
        self._edges = self._checker.exits
        ways = {one: way_of(one, self._link(edge)) for one, edge in self._edges.items()}
        if ways != self._ways:
            self._ways = ways
            self._look_after(ways.values())
        self._ask_birds()

    def change(self, links: Links) -> None:
        """Go by other links; the addresses behind them are known already."""
        self._links = links
        self._told = {name: one for name, one in self._told.items() if name in links}
        self.watch()

    async def close(self) -> None:
        """Look after nothing any more."""
        if self._lookout is not None:
            self._lookout.close()
        for bird in self._birds.values():
            await bird.close()

    def links(self) -> tuple[LinkStatus, ...]:
        """How each link stands, in configured order."""
        return tuple(
            link_status(name, link, self._verdict(name), self._evidence(name))
            for name, link in self._links.items()
        )

    # ---- The kernel ----------------------------------------------------------------

    def _look_after(self, ways: Collection[Way]) -> None:
        if self._lookout is not None and not ways:
            self._lookout.close()
            self._lookout = None
        if self._lookout is None and ways:
            self._lookout = Lookout(
                self._changed, self._netlink_failed, kernel=self._kernel
            )
        if self._lookout is not None:
            self._asking = True
            self._lookout.watch(ways)
            self._asking = False
        self._judge()

    def _changed(self, _: Mapping[Way, Verdict]) -> None:
        """Take over other verdicts: sockets first, for what is free is used at once."""
        if not self._asking:
            self._refit()
            self._judge()

    def _judge(self) -> None:
        verdicts = self._verdicts()
        self._checker.bar(
            {
                one: found.reason if found.privacy is Privacy.EXPOSED else ""
                for one, found in verdicts.items()
            }
        )
        for name, link in self._links.items():
            self._tell(name, link)

    def _verdicts(self) -> dict[Exit, Verdict]:
        known = self._lookout.verdicts if self._lookout is not None else {}
        return {one: known[way] for one, way in self._ways.items() if way in known}

    def _verdict(self, name: str) -> Verdict:
        """That on a link as a whole."""
        link, verdicts = self._links[name], self._verdicts()
        there = (found for one, found in verdicts.items() if self._by(one, link))
        return worst(link, there)

    def _by(self, one: Exit, link: Link) -> bool:
        return self._edges[one] in link.edges

    def _link(self, edge: str) -> Link:
        return next(one for one in self._links.values() if edge in one.edges)

    def _tell(self, name: str, link: Link) -> None:
        """Say once that a link is exposed, and once that it is private again."""
        found, before = self._verdict(name), self._told.get(name)
        if before is not None and (before.privacy, before.reason) == (
            found.privacy,
            found.reason,
        ):
            return
        self._told[name] = found
        there = (
            self._edges[one]
            for one, verdict in self._verdicts().items()
            if self._by(one, link) and verdict.privacy is found.privacy
        )
        edges = ", ".join(dict.fromkeys(there))
        if found.privacy is Privacy.EXPOSED:
            self._log.say(
                events.LINK_EXPOSED,
                link=name,
                interface=link.interface,
                edges=edges,
                reason=found.reason,
            )
        elif found.privacy is Privacy.PRIVATE:
            self._log.say(
                events.LINK_PRIVATE, link=name, interface=link.interface, edges=edges
            )

    def _netlink_failed(self, trouble: str) -> None:
        if trouble:
            self._log.say(events.NETLINK_FAILED, error=trouble)
        else:
            self._log.say(events.NETLINK_RECOVERED)

    # ---- BIRD ----------------------------------------------------------------------

    def _ask_birds(self) -> None:
        """Ask BIRD about the links that say how, and about no others any more."""
        wanted = {name: link for name, link in self._links.items() if link.bgp}
        for name in self._birds.keys() - wanted.keys():
            self._tasks.start(self._birds.pop(name).close(), name="end asking BIRD")
        for name, link in wanted.items():
            assert link.bgp is not None, "it was chosen by that"
            addresses = {one.address for one in self._ways if self._by(one, link)}
            questions = Questions(
                str(link.bgp.socket), (link.bgp.session,), tuple(sorted(addresses))
            )
            if name in self._birds:
                self._birds[name].questions = questions
                continue
            bird = self._birds[name] = Bird(questions, self._bird_failed(name))
            bird.start()

    def _bird_failed(self, name: str) -> Callable[[str], None]:
        def tell(trouble: str) -> None:
            if trouble:
                self._log.say(events.BIRD_FAILED, link=name, error=trouble)
            else:
                self._log.say(events.BIRD_RECOVERED, link=name)

        return tell

    def _evidence(self, name: str) -> Evidence | None:
        bird = self._birds.get(name)
        return bird.evidence if bird is not None else None
