"""Turns a result into a table for people and into JSON; ratios first, since absolute figures belong to one machine."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import Any

from bench.load import Measured
from bench.run import Line, Result

PAGED_WANTED = 150.0
"""Milliseconds from a POST to the first outgoing request, half of the time."""
RATIO_WANTED = 0.5
P99_WANTED = 100.0
"""Milliseconds."""
FLAT_WITHIN = 0.10
"""How far accepting may fall with stored alerts, compared with the emptiest installation of the run."""
BUSY = 0.25
"""A larger share of the machine in other hands makes a round doubtful."""
_RULED = frozenset({"new", "hot", "spread"})
"""Cases that the wanted ratio is about."""


def ratio(line: Line) -> float:
    """The median over the rounds of product to floor, each compared with its own round's floor."""
    return median(mine.rate / theirs.rate if theirs.rate else 0.0 for mine, theirs in zip(line.product, line.floor, strict=True))


def flatness(line: Line, emptiest: Line) -> float:
    """The median over the rounds of this installation's rate to the emptiest one's."""
    return median(mine.rate / theirs.rate if theirs.rate else 0.0 for mine, theirs in zip(line.product, emptiest.product, strict=True))


def emptiest_of(line: Line, result: Result) -> Line:
    """The same case on the installation with the fewest stored alerts."""
    return min((each for each in result.lines if each.case == line.case), key=lambda each: each.stored)


def table(result: Result) -> str:
    """The figures of one database."""
    head = f"{'case':<44}{'stored':>10}{'ratio':>8}{'to empty':>10}{'req/s':>9}{'floor':>9}{'p50 ms':>9}{'p99 ms':>9}{'cpu µs':>9}"
    rows = [_row(line, emptiest_of(line, result)) for line in result.lines]
    if result.lines:
        name = "floor, in the same run"
        rows.append(f"{name:<98}{_median([each for line in result.lines for each in line.floor], 'cpu'):>9.0f}")
    storm = result.storm
    if storm:
        name = f"storm of {storm.answers:,} on one key"
        rows.append(f"{name:<72}{storm.rate:>9,.0f}{'':>9}{storm.p50:>9.1f}{storm.p99:>9.1f}")
    if result.paged:
        name = f"from POST to the first outgoing request, sent by {result.paged.engine}"
        rows.append(f"{name:<90}{result.paged.p50:>9.1f}{result.paged.p99:>9.1f}")
    return "\n".join([f"\n{result.version}", head, "-" * len(head), *rows])


def _row(line: Line, emptiest: Line) -> str:
    to_empty = f"{flatness(line, emptiest):.2f}" if line.stored != emptiest.stored else ""
    rates = f"{_median(line.product, 'rate'):>9,.0f}{_median(line.floor, 'rate'):>9,.0f}"
    times = f"{_median(line.product, 'p50'):>9.1f}{_median(line.product, 'p99'):>9.1f}"
    return f"{line.case.title:<44}{line.stored:>10,}{ratio(line):>8.2f}{to_empty:>10}{rates}{times}{_median(line.product, 'cpu'):>9.0f}"


def _median(rounds: list[Measured], what: str) -> float:
    return float(median(getattr(each, what) for each in rounds))


def verdicts(result: Result) -> list[str]:
    """Which of the project's aims were missed, as sentences."""
    missed = []
    for line in result.lines:
        name = f"{result.version}, {line.case.title}, {line.stored:,} stored"
        if line.case.name in _RULED and ratio(line) < RATIO_WANTED:
            missed.append(f"{name}: {ratio(line):.2f} of the floor; {RATIO_WANTED} is wanted")
        if _median(line.product, "p99") > P99_WANTED:
            missed.append(f"{name}: p99 is {_median(line.product, 'p99'):.0f} ms; less than {P99_WANTED:.0f} ms is wanted")
        emptiest = emptiest_of(line, result)
        if line.case.name in _RULED and line.stored != emptiest.stored and flatness(line, emptiest) < 1 - FLAT_WITHIN:
            missed.append(f"{name}: {flatness(line, emptiest):.2f} of the rate with {emptiest.stored:,} stored; {1 - FLAT_WITHIN} is wanted")
    if result.paged and result.paged.p50 > PAGED_WANTED:
        missed.append(f"{result.version}: the first outgoing request takes {result.paged.p50:.0f} ms; less than {PAGED_WANTED:.0f} ms is wanted")
    return missed


def busy_rounds(result: Result) -> int:
    """How many bursts began while others used a good part of the machine."""
    return sum(share > BUSY for share in result.busy)


def as_json(result: Result) -> dict[str, Any]:
    """All figures of one database."""
    return {
        "database": result.database,
        "version": result.version,
        "cases": [
            {
                "case": line.case.name,
                "title": line.case.title,
                "stored": line.stored,
                "ratio": round(ratio(line), 3),
                "to_empty": round(flatness(line, emptiest_of(line, result)), 3),
                "rate": round(_median(line.product, "rate"), 1),
                "floor_rate": round(_median(line.floor, "rate"), 1),
                "p50_ms": _median(line.product, "p50"),
                "p99_ms": _median(line.product, "p99"),
                "cpu_us": _median(line.product, "cpu"),
                "floor_cpu_us": _median(line.floor, "cpu"),
                "rounds": [_measured(each) for each in line.product],
                "floor_rounds": [_measured(each) for each in line.floor],
            }
            for line in result.lines
        ],
        "storm": _measured(result.storm) if result.storm else None,
        "paged": asdict(result.paged) if result.paged else None,
        "missed": verdicts(result),
        "problems": result.problems,
        "share_of_others": [round(share, 3) for share in result.busy],
    }


def _measured(measured: Measured) -> dict[str, float]:
    return {
        "rate": round(measured.rate, 1),
        "answers": measured.answers,
        "refused": measured.refused,
        "broken": measured.broken,
        "p50_ms": round(measured.p50, 2),
        "p99_ms": round(measured.p99, 2),
        "slowest_ms": round(measured.slowest, 2),
        "cpu_us": round(measured.cpu, 1),
    }
