"""Texts from outside: cleaned, cut, named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import text

ANY_TEXT = st.text(st.characters())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(ANY_TEXT)
def test_a_clean_text_can_be_stored_anywhere(dirty: str) -> None:
    clean = text.clean(dirty)

    assert "\x00" not in clean
    clean.encode("utf-8")
    assert text.clean(clean) == clean


@given(JSON)
def test_clean_json_can_be_stored_anywhere(value: Any) -> None:
    written = json.dumps(text.clean_json(value), allow_nan=False, ensure_ascii=False)

    written.encode("utf-8")
    assert "\\u0000" not in written


def test_numbers_beyond_all_bounds_become_texts() -> None:
    assert text.clean_json({"a": json.loads("1e999"), "b": [-float("inf")], "c": float("nan"), "d": 1.5}) == {"a": "inf", "b": ["-inf"], "c": "nan", "d": 1.5}


def test_what_is_nested_too_deeply_says_so() -> None:
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]

    assert "nested too deeply" in json.dumps(text.clean_json(deep))


def test_a_line_is_one_line_and_a_block_keeps_its_lines() -> None:
    assert text.clean_line(" a\r\n\tb\x00 c ", 100) == "a b c"
    assert text.clean_block(" a\r\nb\rc\x07 ", 100) == "a\nb\nc"


@given(ANY_TEXT, st.integers(2, 50))
def test_nothing_is_longer_than_its_limit(value: str, limit: int) -> None:
    assert len(text.clean_line(value, limit)) <= limit
    assert len(text.clean_block(value, limit)) <= limit
    assert len(text.shorten(value, limit)) <= limit


def test_a_cut_text_says_so() -> None:
    assert text.shorten("abcdef", 4) == "abc…"
    assert text.shorten("abcd", 4) == "abcd"


def test_a_long_key_keeps_its_beginning_and_stays_its_own() -> None:
    first, second = (text.bounded_key("web-01/" + "x" * 300 + end) for end in "ab")

    assert text.bounded_key("web-01/cpu") == "web-01/cpu"
    assert first.startswith("web-01/")
    assert first != second
    assert len(first) <= 255


@pytest.mark.parametrize(("written", "seconds"), [("30s", 30), ("5m", 300), (" 2 h ", 7200), ("1d", 86400), ("0s", 0), ("90s", 90)])
def test_a_duration_is_read_and_written(written: str, seconds: int) -> None:
    assert text.parse_duration(written) == seconds
    assert text.parse_duration(text.format_duration(seconds)) == seconds


@pytest.mark.parametrize("written", ["", "5", "5 minutes", "-5m", "1.5h", "9999999999s", "5M"])
def test_other_writings_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match="30s, 5m, 2h or 1d"):
        text.parse_duration(written)


def test_durations_are_written_shortly() -> None:
    assert [text.format_duration(seconds) for seconds in (0, 60, 90, 3600, 86400, 90000)] == ["0s", "1m", "90s", "1h", "1d", "25h"]
