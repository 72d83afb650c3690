"""The tools that sources read payloads with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.times import time_of
from app.core.types import Link, Severity
from app.sources import _reading as reading

NINE = datetime(2026, 3, 14, 9, 31, 12, tzinfo=UTC)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-14T09:31:12Z",
        "2026-03-14t09:31:12z",
        "2026-03-14T09:31:12+0000",
        "2026-03-14T09:31:12+00:00",
        "2026-03-14T10:31:12+01:00",
        "2026-03-14 09:31:12",
        "2026-03-14 09:31:12 UTC",
        "2026-03-14 09:31:12 +0000",
        " 2026-03-14T09:31:12.000000000Z ",
        "20260314T093112Z",
        1773480672,
        1773480672.0,
        "1773480672",
        1773480672000,
        "1773480672000",
        1773480672000000,
        1773480672000000000,
    ],
)
def test_a_time_is_read_however_it_is_written(written: Any) -> None:
    assert time_of(written) == NINE


@pytest.mark.parametrize(
    "written",
    [None, "", "soon", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 0, "0", -1, True, [], {}, float("inf"), float("nan"), 10**400, "2026-13-01T00:00:00Z",
     "9999-12-31T23:59:59-14:00", "12", "٢٠٢٦-03-14"],
)  # fmt: skip
def test_what_is_no_time_is_none(written: Any) -> None:
    assert time_of(written) is None


def test_fractions_of_a_second_are_kept_to_the_microsecond() -> None:
    found = time_of("2026-03-14T09:31:12.482123456Z")

    assert found is not None
    assert found.microsecond == 482123


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1.5, "1.5"),
        (2**60, "1152921504606846976"),
        ({"a": [1]}, '{"a": [1]}'),
        (["ü"], '["ü"]'),
    ],
)
def test_any_value_has_a_text(value: Any, text: str) -> None:
    assert reading.text_of(value) == text


def test_the_first_text_that_is_there_is_taken() -> None:
    body = {"issue": {"title": " Broken "}, "event": {"title": None, "id": 7}, "list": [1]}

    assert reading.text_at(body, "event.title", "issue.title") == "Broken"
    assert reading.text_at(body, "event.id") == "7"
    assert reading.text_at(body, "list.0", "nothing", "issue.title.deeper") == ""
    assert reading.text_at(None, "a.b") == ""


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("critical", Severity.CRITICAL),
        (" CRITICAL ", Severity.CRITICAL),
        ("page", Severity.CRITICAL),
        ("P1", Severity.CRITICAL),
        ("major", Severity.ERROR),
        ("Warn", Severity.WARNING),
        ("none", Severity.INFO),
        ("uncritical", None),
        ("abnormal", None),
        ("slowdown", None),
        ("", None),
        (None, None),
        (3, None),
        (["critical"], None),
    ],
)
def test_a_severity_is_a_whole_word(word: Any, severity: Severity | None) -> None:
    assert reading.severity_of(word) is severity


def test_a_source_may_have_severities_of_its_own() -> None:
    assert reading.severity_of("5", {"5": Severity.CRITICAL}) is Severity.CRITICAL


def test_links_are_web_addresses_and_come_once() -> None:
    found = reading.links_of(("https://a/", "A"), ("javascript:alert(1)", "B"), (None, "C"), ("HTTPS://b/", "D"), ("https://a/", "E"), ("/path", "F"), (7, "G"))

    assert found == (Link("https://a/", "A"), Link("HTTPS://b/", "D"))


def test_a_hash_does_not_depend_on_the_order_of_members() -> None:
    assert reading.hash_of({"a": 1, "b": 2}) == reading.hash_of({"b": 2, "a": 1})
    assert reading.hash_of({"a": "1"}) != reading.hash_of({"a": 1})
    assert reading.hash_of(["a", "b"]) != reading.hash_of(["b", "a"])


def test_labels_are_texts_and_empty_ones_are_left_out() -> None:
    assert reading.labels_of({"a": 1, "b": None, "c": "", "d": True, "e": {"f": 1}}) == {"a": "1", "d": "true", "e": '{"f": 1}'}
    assert reading.labels_of(["a"]) == {}


def test_details_are_paragraphs_and_lists() -> None:
    assert reading.lines("a", "", "b") == "a\n\nb"
    assert reading.bullets({"impact": "none", "who": "all"}) == "- **impact**: none\n- **who**: all"


@given(ANYTHING)
def test_no_tool_raises_whatever_it_is_given(value: Any) -> None:
    reading.text_of(value)
    reading.text_at(value, "a", "a.b")
    reading.labels_of(value)
    reading.severity_of(value)
    reading.hash_of(value)
    reading.links_of((value, "x"))
    reading.mapping_of(value)
    reading.list_of(value)
    assert time_of(value) is None or time_of(value) > datetime(1970, 12, 31, tzinfo=UTC)
