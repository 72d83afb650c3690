"""HTML as plain text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.plain import text_of_html


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>Disk is at\n  91&nbsp;%.</p><p>Soon full &amp; slow</p>", "Disk is at 91 %.\n\nSoon full & slow"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<ul><li>a<li>b</ul>", "- a\n- b"),
        ("<table><tr><td>cpu</td><td>97 %</td></tr><tr><th>load</th></tr></table>", "cpu 97 %\nload"),
        ('<a href="https://x.example.com/?a=1&amp;b=2">Open</a>', "Open (https://x.example.com/?a=1&b=2)"),
        ("<a href=https://x.example.com/>https://x.example.com/</a>", "https://x.example.com/"),
        ("<a href='javascript:alert(1)'>No</a> <a>bare</a> </a>", "No bare"),
        ("<head><title>t</title></head><style>p{}</style><script>if (1 < 2) {}</script><SCRIPT>x</SCRIPT>seen", "seen"),
        ("a<!-- <b>hidden</b> -->b<!-- open", "ab"),
        ("cpu < 5 & load > 3 <", "cpu < 5 & load > 3 <"),
        ("a <b", "a"),
        ("<script>never closed", ""),
        ("<!DOCTYPE html><?xml ?><html><body>x</body></html>", "x"),
        ("&lt;b&gt; &eacute; &#x20AC; &nope;", "<b> é € &nope;"),
        ("", ""),
    ],
)
def test_a_reader_of_text_sees_what_matters(source: str, text: str) -> None:
    assert text_of_html(source) == text


@given(st.text(st.sampled_from("<>/!-a bp&;\"'=\nİ"), max_size=60))
def test_any_text_is_read(source: str) -> None:
    assert text_of_html(source) == text_of_html(source).strip()


@pytest.mark.parametrize("piece", ["<", "<!--", "<script>", "<a href=x>", "<br>", "&amp;", "<p", "</a>", "a<", "<a href='"])
def test_no_document_is_slow(piece: str) -> None:
    started = time.thread_time()
    text_of_html(piece * (1_000_000 // len(piece)))

    assert time.thread_time() - started < 4
