"""Every source keeps the contract, whatever it is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import sources
from app.core.types import Source
from tests.sources import contract
from tests.sources.corpus import FORM, Case, cases_of, inbound_of

CONNECT = Path(__file__).resolve().parents[2] / "templates" / "connect"
ALL = sources.all()
BY_NAME = pytest.mark.parametrize("source", ALL, ids=lambda source: source.name)

TEXTS = st.text(st.characters(), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20)


def names_in(source: Source) -> list[str]:
    """The names that the source's own payloads use: random JSON with these gets further in."""
    found: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            found.update(value)
        for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            collect(member)

    for case in cases_of(source):
        if case.path.suffix == ".json" and case.inbound.body.strip().startswith((b"{", b"[")):
            try:
                collect(json.loads(case.inbound.body))
            except ValueError:
                continue
    return sorted(found) or ["x"]


def bodies(source: Source) -> st.SearchStrategy[bytes]:
    """Random JSON in the source's own words, random JSON, random bytes."""
    names = st.sampled_from(names_in(source)) | TEXTS
    own = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=8), max_leaves=30)
    written = st.one_of(own, st.dictionaries(names, own, max_size=8), JSON).map(lambda value: json.dumps(value).encode())
    return st.one_of(written, written, written, st.binary(max_size=60))


@BY_NAME
def test_a_source_keeps_the_contract(source: Source) -> None:
    contract.keep(source, cases_of(source), CONNECT)


@BY_NAME
def test_a_source_survives_random_requests(source: Source) -> None:
    @settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
    @given(
        body=bodies(source),
        content_type=st.sampled_from(["application/json", "", "text/plain", FORM, "application/vnd.x+json; charset=utf-8", "multipart/form-data"]),
        query=st.dictionaries(st.sampled_from(names_in(source)) | TEXTS, st.lists(TEXTS, min_size=1, max_size=2).map(tuple), max_size=4),
    )
    def survives(body: bytes, content_type: str, query: dict[str, tuple[str, ...]]) -> None:
        inbound = inbound_of(body, {"content-type": content_type}, query)
        case = Case(source, Path("random"), source.parse, inbound)
        contract.reads_the_same_twice(case)

    survives()


@BY_NAME
def test_a_source_survives_deep_nesting(source: Source) -> None:
    for depth in (50, 100, 500, 900, 950, 980, 990, 5_000, 100_000):
        for body in (
            b"[" * depth + b"]" * depth,
            b'{"alerts":' * depth + b"1" + b"}" * depth,
            b'{"payload":{"custom_details":' + b"[" * depth + b"]" * depth + b"}}",
        ):
            contract.keeps_to_its_outcomes(Case(source, Path("deep"), source.parse, inbound_of(body, {}, {})))
