"""Every source keeps the contract, whatever it is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import sources
from app.core.types import Source
from tests.sources import contract
from tests.sources.corpus import FORM, Case, cases_of, inbound_of
from tests.sources.junk import Junk

CONNECT = Path(__file__).resolve().parents[2] / "templates" / "connect"
ALL = sources.all()
BY_NAME = pytest.mark.parametrize("source", ALL, ids=lambda source: source.name)

TEXTS = st.text(st.characters(), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=15,
)


@BY_NAME
def test_a_source_keeps_the_contract(source: Source) -> None:
    contract.keep(source, cases_of(source), CONNECT)


@BY_NAME
def test_a_source_survives_junk_in_its_own_words(source: Source) -> None:
    junk = Junk(source)

    for seed in range(1_000):
        contract.keeps_to_its_outcomes(Case(source, Path(f"seed {seed}"), source.parse, junk.request(seed)))


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60),
    content_type=st.sampled_from(["application/json", "", "text/plain", FORM, "multipart/form-data"]),
    query=st.dictionaries(TEXTS, st.lists(TEXTS, min_size=1, max_size=2).map(tuple), max_size=3),
)
def test_every_source_survives_any_request(body: bytes, content_type: str, query: dict[str, tuple[str, ...]]) -> None:
    inbound = inbound_of(body, {"content-type": content_type}, query)

    for source in ALL:
        contract.reads_the_same_twice(Case(source, Path("random"), source.parse, inbound))


@BY_NAME
def test_a_source_survives_deep_nesting(source: Source) -> None:
    for depth in (50, 100, 500, 900, 950, 980, 990, 5_000, 100_000):
        for body in (
            b"[" * depth + b"]" * depth,
            b'{"alerts":' * depth + b"1" + b"}" * depth,
            b'{"payload":{"custom_details":' + b"[" * depth + b"]" * depth + b"}}",
        ):
            contract.keeps_to_its_outcomes(Case(source, Path("deep"), source.parse, inbound_of(body, {}, {})))
