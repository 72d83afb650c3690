"""`python -m bench`: how fast Tocsin accepts alerts, as ratios to a bare view.  docs/benchmarks.md explains the figures."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import load, report, stores
from bench.cases import CASES
from bench.run import Plan, Result, Run
from bench.stores import Store

RESULTS = Path(__file__).with_name("results")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The flags."""
    names = [case.name for case in CASES] + ["storm", "paging"]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("--database", choices=["sqlite", "postgresql", "both"], default="both", help="both: PostgreSQL is left out when its server is not there")
    add("--postgresql-url", default=os.environ.get("BENCH_POSTGRESQL_URL", stores.USUAL_SERVER), help="a server on which databases may be made")
    add("--seconds", type=float, default=5, help="of each burst")
    add("--rounds", type=int, default=3, help="bursts of each contestant per case")
    add("--connections", type=int, default=32)
    add("--stored", default="0,1000000", help="numbers of stored alerts, comma separated; each gets an installation of its own")
    add("--cases", default=",".join(names), help="some of: %(default)s")
    add("--generator", choices=["auto", "wrk", "python"], default="auto", help="auto: wrk when it is installed")
    add("--json", type=Path, help="where to write all figures; default: bench/results/<time>.json")
    add("--folder", type=Path, default=RESULTS, help="where SQLite's files are made: a folder on the disk that is to be measured")
    flags = parser.parse_args(arguments)
    flags.stored = tuple(sorted({int(number) for number in flags.stored.split(",")}))
    flags.cases = flags.cases.split(",")
    unknown = set(flags.cases) - set(names)
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if flags.generator == "wrk" and not load.has_wrk():
        parser.error("wrk is not installed; leave --generator out to use the one that comes along")
    return flags


def main(arguments: list[str]) -> int:
    """Measure, print, write; 1 when something that was answered does not add up in the database."""
    signal.signal(signal.SIGTERM, _interrupt)
    flags = parse(arguments)
    plan = Plan(
        cases=tuple(case for case in CASES if case.name in flags.cases),
        stored=flags.stored,
        rounds=flags.rounds,
        seconds=flags.seconds,
        connections=flags.connections,
        storm="storm" in flags.cases,
        paging="paging" in flags.cases,
        use_wrk=flags.generator == "wrk" or (flags.generator == "auto" and load.has_wrk()),
    )
    flags.folder.mkdir(parents=True, exist_ok=True)
    results = []
    with tempfile.TemporaryDirectory(prefix="run-", dir=flags.folder) as made:
        for kind in ("sqlite", "postgresql"):
            if flags.database in (kind, "both"):
                results += _measure(kind, plan, flags, Path(made))
    _write(results, plan, flags)
    return 1 if not results or any(result.problems for result in results) else 0


def _measure(kind: str, plan: Plan, flags: argparse.Namespace, folder: Path) -> list[Result]:
    try:
        with _store(kind, flags, folder) as store:
            result = Run(store, plan, folder, _say).measure()
    except stores.NoServer as error:
        _say(f"PostgreSQL is left out: {error}  (--postgresql-url names a server)")
        return []
    print(report.table(result))
    for missed in report.verdicts(result):
        print(f"MISSED  {missed}")
    for problem in result.problems:
        print(f"WRONG   {problem}")
    busy = report.busy_rounds(result)
    if busy:
        print(f"NOISE   {busy} of {len(result.busy)} bursts began while others used over {report.BUSY:.0%} of this machine")
    return [result]


def _store(kind: str, flags: argparse.Namespace, folder: Path) -> contextlib.AbstractContextManager[Store]:
    return stores.sqlite_store(folder) if kind == "sqlite" else stores.postgresql_store(flags.postgresql_url)


def _write(results: list[Result], plan: Plan, flags: argparse.Namespace) -> None:
    path = flags.json or flags.folder / time.strftime("%Y%m%d-%H%M%S.json")
    path.write_text(json.dumps({**_about(plan), "databases": [report.as_json(result) for result in results]}, indent=1) + "\n")
    _say(f"\nall figures: {path}")


def _about(plan: Plan) -> dict[str, Any]:
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()} {platform.release()}, Python {platform.python_version()}",
        "generator": "wrk" if plan.use_wrk else "python",
        "connections": plan.connections,
        "seconds": plan.seconds,
        "rounds": plan.rounds,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt  # so that what was started is ended on the way out


@contextlib.contextmanager
def _quiet_interrupt() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    with _quiet_interrupt():
        sys.exit(main(sys.argv[1:]))
