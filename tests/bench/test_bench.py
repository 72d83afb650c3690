"""The bench measures for a moment, adds up, and would say so if it did not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import generator, report, traffic
from bench.cases import CASES, Case, Stored, problems
from bench.load import Measured
from bench.run import Line, Result

ROOT = Path(__file__).resolve().parent.parent.parent
BY_NAME = {case.name: case for case in CASES}


@pytest.mark.realtime
def test_the_bench_measures_the_real_product_for_a_second_on_sqlite(tmp_path: Path) -> None:
    flags = "--database sqlite --seconds 1 --rounds 1 --stored 0,500 --connections 8 --cases new,resolve,batch,paging --generator python"
    figures = tmp_path / "figures.json"

    ran = subprocess.run(
        [sys.executable, "-m", "bench", *flags.split(), "--folder", str(tmp_path), "--json", str(figures)],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stdout + ran.stderr
    (database,) = json.loads(figures.read_text())["databases"]
    assert [(line["case"], line["stored"]) for line in database["cases"]] == [(name, stored) for name in ("new", "resolve", "batch") for stored in (0, 500)]
    assert all(line["rounds"][0]["answers"] > 0 for line in database["cases"])
    assert database["paged"]["pages"] == 100
    assert database["problems"] == []
    assert "new alert (Alertmanager)" in ran.stdout
    assert list(tmp_path.glob("run-*")) == []


MEASURED = Measured(answers=50, refused=0, broken=0, seconds=1.0, p50=1.0, p99=2.0, slowest=3.0, unread=0)
FIFTY_NEW = Stored(receipts=50, bad_receipts=0, alerts=50, triggers=50, incidents=50, timeline=50, batch_events=0, resolved=0)
FIFTY_OF_ONE = replace(FIFTY_NEW, alerts=1, incidents=1)
FIFTY_RESOLVED = replace(FIFTY_NEW, alerts=0, triggers=0, incidents=0, resolved=50)
FIFTY_BATCHES = replace(FIFTY_NEW, alerts=500, triggers=500, incidents=500, timeline=500, batch_events=500)


@pytest.mark.parametrize(
    ("name", "stored"), [("new", FIFTY_NEW), ("hot", FIFTY_OF_ONE), ("spread", FIFTY_NEW), ("resolve", FIFTY_RESOLVED), ("batch", FIFTY_BATCHES)]
)
def test_what_adds_up_is_no_problem(name: str, stored: Stored) -> None:
    assert problems(BY_NAME[name], MEASURED, stored) == []


@pytest.mark.parametrize(
    ("name", "measured", "stored"),
    [
        ("new", replace(MEASURED, answers=51), FIFTY_NEW),  # an answer without a receipt
        ("new", replace(MEASURED, answers=49), FIFTY_NEW),  # a receipt without an answer
        ("new", replace(MEASURED, broken=1), FIFTY_NEW),
        ("new", replace(MEASURED, refused=1), replace(FIFTY_NEW, receipts=49, alerts=49, triggers=49, incidents=49)),
        ("new", MEASURED, replace(FIFTY_NEW, incidents=49)),
        ("new", MEASURED, replace(FIFTY_NEW, timeline=49)),
        ("hot", MEASURED, replace(FIFTY_OF_ONE, triggers=49)),
        ("hot", MEASURED, replace(FIFTY_OF_ONE, incidents=2, alerts=2)),
        ("resolve", MEASURED, replace(FIFTY_RESOLVED, resolved=49)),
        ("batch", MEASURED, replace(FIFTY_BATCHES, batch_events=499)),
    ],
)
def test_what_does_not_add_up_is_a_problem(name: str, measured: Measured, stored: Stored) -> None:
    assert problems(BY_NAME[name], measured, stored)


def test_requests_that_wrk_left_unread_may_have_been_stored() -> None:
    assert problems(BY_NAME["new"], replace(MEASURED, answers=40, unread=10), FIFTY_NEW) == []
    assert problems(BY_NAME["new"], replace(MEASURED, answers=39, unread=10), FIFTY_NEW)


def test_a_batch_takes_new_keys_and_a_hot_key_stays() -> None:
    batch = _requests(BY_NAME["batch"])
    hot = _requests(BY_NAME["hot"])

    assert b'"fingerprint":"abcdef0000000013"' in batch(1)
    assert b'"fingerprint":"abcdef0000000009"' in batch(0)
    assert hot(0) == hot(7)


def test_every_request_has_the_length_that_it_announces() -> None:
    for case in CASES:
        head, _, body = _requests(case)(4711).partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n"), case.name


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{", None),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}", 202),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r", None),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nOk\r\n0\r\n\r\n", 200),
    ],
)
def test_an_answer_counts_when_it_is_whole(answer: bytes, status: int | None) -> None:
    assert generator.status_when_whole(answer) == status


def test_a_ratio_compares_each_round_with_the_floor_of_its_own_moment() -> None:
    def rounds(*rates: int) -> list[Measured]:
        return [replace(MEASURED, answers=rate) for rate in rates]

    empty = Line(BY_NAME["new"], 0, floor=rounds(1000, 100, 500), product=rounds(600, 60, 100))
    full = Line(BY_NAME["new"], 1000, floor=rounds(1000, 100, 500), product=rounds(300, 45, 90))
    result = Result("sqlite", "SQLite", lines=[empty, full])

    assert report.ratio(empty) == 0.6
    assert report.flatness(full, empty) == 0.75
    missed = report.verdicts(result)
    assert len(missed) == 2
    assert missed[0].endswith("0.30 of the floor; 0.5 is wanted")
    assert "0.75 of the rate with 0 stored" in missed[1]


def _requests(case: Case) -> generator.Callable[[int], bytes]:
    return generator.requests_of(case.traffic.template("/somewhere?key=1", {"X-Key": "2"}), "abcdef00", case.traffic.distinct, case.traffic.keys_per_request)


def test_a_body_is_about_as_long_as_alertmanagers() -> None:
    assert 900 < len(traffic.SLOT.sub(traffic.key("abcdef00", 1), traffic.alertmanager())) < 1000
