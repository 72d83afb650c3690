"""One run on one database: floor and product take turns, round by round, so that a busy moment hits both."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import cases, floor, installation, load, paging, quiet, servers, stores
from bench.cases import CASES, STORM, Case
from bench.installation import Door, Installation
from bench.load import Job, Measured
from bench.paging import Paged
from bench.servers import Server
from bench.stores import Store

RESOLVES_A_SECOND = 6_000
"""Alerts opened for each second of a round of resolves: more than any machine of this kind resolves."""
WARM_UP = 1.0
"""Seconds."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much of what."""

    cases: tuple[Case, ...]
    stored: tuple[int, ...]
    rounds: int
    seconds: float
    connections: int
    storm: bool
    paging: bool
    use_wrk: bool


@dataclass
class Line:
    """One case at one number of stored alerts, with the floor's rounds beside it."""

    case: Case
    stored: int
    floor: list[Measured] = field(default_factory=list)
    product: list[Measured] = field(default_factory=list)


@dataclass
class Result:
    """What one database showed."""

    database: str
    version: str
    lines: list[Line] = field(default_factory=list)
    storm: Measured | None = None
    paged: Paged | None = None
    problems: list[str] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    """Before each burst: the share of the machine that others were using."""


@dataclass(frozen=True)
class Contestant:
    """A server that takes its turn: the floor (no installation) or the product."""

    server: Server
    installed: Installation | None

    def door(self, case: Case) -> Door:
        """Where the case is sent."""
        return self.installed.doors[case.door] if self.installed else Door(floor.PATH)


class Run:
    """Measures one database."""

    def __init__(self, store: Store, plan: Plan, folder: Path, say: Say) -> None:
        self._store = store
        self._plan = plan
        self._folder = folder
        self._say = say
        self._prefixes = (f"b{n:07x}" for n in itertools.count(1))
        self.result = Result(store.name, store.version)

    def measure(self) -> Result:
        """Everything in the plan."""
        if self._plan.cases or self._plan.storm:
            with self._contestants() as contestants:
                for case in self._plan.cases:
                    self._case(case, contestants)
                if self._plan.storm:
                    self._storm(contestants[1])
        if self._plan.paging:
            self.result.paged, found = paging.measure(self._store, self._folder, self._say)
            self.result.problems += found
        return self.result

    @contextlib.contextmanager
    def _contestants(self) -> Iterator[list[Contestant]]:
        with contextlib.ExitStack() as stack:
            url = self._store.make("floor")
            stores.make_floor_table(self._store, url)
            environment = {"BENCH_FLOOR_DATABASE": url, "DATA_DIR": str(self._folder)}
            server = stack.enter_context(servers.serving("bench.floor:application", environment, self._folder / "floor.log"))
            found = [Contestant(server, None)]
            for stored in self._plan.stored if self._plan.cases else self._plan.stored[:1]:
                self._say(f"{self._store.version}: preparing an installation with {stored:,} stored alerts")
                made = installation.make(self._store, self._folder, stored)
                server = stack.enter_context(servers.serving("wsgi:application", made.environment, self._folder / f"tocsin-{stored}.log"))
                found.append(Contestant(server, made))
            yield found

    def _case(self, case: Case, contestants: list[Contestant]) -> None:
        self._say(f"{self._store.version}: {case.title}")
        for contestant in contestants:
            self._burst(case, contestant, WARM_UP, is_warm_up=True)
        lines = {made.installed.stored: Line(case, made.installed.stored) for made in contestants if made.installed}
        for turn in range(self._plan.rounds):
            first = turn % len(contestants)
            for contestant in contestants[first:] + contestants[:first]:
                measured = self._burst(case, contestant, self._plan.seconds)
                if contestant.installed:
                    lines[contestant.installed.stored].product.append(measured)
                else:
                    for line in lines.values():
                        line.floor.append(measured)
        self.result.lines += lines.values()

    def _burst(self, case: Case, contestant: Contestant, seconds: float, *, count: int = 0, is_warm_up: bool = False) -> Measured:
        """Send one burst, and look at what it left in the database."""
        prefix, made = next(self._prefixes), contestant.installed
        if made and case.resolves:
            made.open_keys(prefix, round(RESOLVES_A_SECOND * seconds))
        if made:
            made.mark()
        self.result.busy.append(quiet.share_of_others())
        door = contestant.door(case)
        job = Job(contestant.server.port, door.path, door.headers, case.traffic, prefix, self._plan.connections, seconds, count)
        used = quiet.used_by(contestant.server.session)
        measured = load.send(job, self._folder, use_wrk=self._plan.use_wrk)
        used = quiet.used_by(contestant.server.session) - used
        measured = replace(measured, cpu=used / max(measured.answers, 1) * 1e6)
        where = f"{self._store.name}, {case.title}, " + (f"{made.stored:,} stored" if made else "floor")
        if made:
            found = cases.problems(case, measured, made.counted(prefix))
        else:
            found = [f"{measured.refused} requests were refused and {measured.broken} broke"] if measured.refused or measured.broken else []
        self.result.problems += [f"{where}: {problem}" for problem in found]
        if not is_warm_up:
            times = f"p50 {measured.p50:6.1f} ms  p99 {measured.p99:6.1f} ms  cpu {measured.cpu:5.0f} µs"
            self._say(f"    {'tocsin' if made else 'floor':>6} {measured.rate:8,.0f}/s  {times}")
        return measured

    def _storm(self, contestant: Contestant) -> None:
        """So many requests on one key, and not one more or less: one incident, and a counter that is right."""
        self._say(f"{self._store.version}: a storm of {STORM:,} on one key")
        hot = next(case for case in CASES if case.name == "hot")
        self.result.storm = self._burst(hot, contestant, 0, count=STORM)
        if self.result.storm.answers != STORM:
            self.result.problems.append(f"{self._store.name}, storm: {self.result.storm.answers} of {STORM} requests were answered")
