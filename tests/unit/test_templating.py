"""Templates: what they can do, and how fast; test_templating_attacks.py tells what they cannot."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.templating import TemplateFailed, check, render, render_condition

PAYLOAD: Mapping[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "DiskFull", "severity": "critical", "instance": "db-1:9100"},
    "alerts": [{"n": 1, "host": "a"}, {"n": 2, "host": "b"}, {"n": 3, "host": "a"}],
    "started": "2026-03-14T09:31:12.482Z",
    "text": "Disk is at 91 %",
}


def shown(template: str, limit: int = 10_000, **context: Any) -> str:
    return render(template, {"payload": PAYLOAD, **context}, limit=limit)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ payload.labels.alertname }} is {{ payload.status | upper }}", "DiskFull is FIRING"),
        ("{% for a in payload.alerts %}{{ loop.index }}/{{ loop.length }}:{{ a.host }} {% endfor %}", "1/3:a 2/3:b 3/3:a "),
        ("{% for a in payload.alerts if a.host == 'a' %}{{ a.n }}{% else %}none{% endfor %}", "13"),
        ("{% for k, v in payload.labels.items() %}{{ k }}={{ v }};{% endfor %}", "alertname=DiskFull;severity=critical;instance=db-1:9100;"),
        ("{{ payload.alerts | map(attribute='host') | unique | join(', ') }}", "a, b"),
        ("{{ payload.alerts | selectattr('host', 'eq', 'a') | list | length }}", "2"),
        ("{{ payload.alerts | groupby('host') | map('first') | join }}", "ab"),
        ("{{ payload.alerts | sum(attribute='n') }}", "6"),
        ("{{ payload.labels['severity'] }} {{ payload.alerts[-1].n }} {{ payload.text[:4] }}", "critical 3 Disk"),
        ("{{ payload.get('nope', 'default') }}", "default"),
        ("{{ 'a' ~ 1 ~ none }}", "a1None"),
        ("{{ 7 * 6 }} {{ 2 ** 10 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ -3 | abs }}", "42 1024 3 3 3"),
        ("{{ '%s is %.1f' | format('cpu', 97.24) }} {{ '%d%%' % 5 }}", "cpu is 97.2 5%"),
        ("{{ '{:>6.2f}|{}'.format(3.14159, 'x') }} {{ '{a}'.format_map({'a': 1}) }}", "  3.14|x 1"),
        ("{% set ns = namespace(n=0) %}{% for a in payload.alerts %}{% set ns.n = ns.n + a.n %}{% endfor %}{{ ns.n }}", "6"),
        ("{% macro b(x) %}<{{ x }}>{{ caller() }}{% endmacro %}{% call b(1) %}in{% endcall %}", "<1>in"),
        ("{% for a in [1, [2, [3]]] recursive %}{% if a is number %}{{ a }}{% else %}({{ loop(a) }}){% endif %}{% endfor %}", "1(2(3))"),
        ("{% set x %}{{ payload.status }}!{% endset %}{{ x | replace('!', '?') }}", "firing?"),
        ("{{ '<b>x</b>' | striptags }} {{ '<i>' | e }} {{ 'x' | safe }}", "x &lt;i&gt; x"),
        ("{{ 'a\nb' | indent(2, true) }}", "  a\n  b"),
        ("{{ 'x' | center(5) }}|{{ 'b'.ljust(3) }}|{{ 'a-b'.split('-') | join('+') }}", "  x  |b  |a+b"),
        ("{{ joiner }}{% set j = joiner(',') %}{% for a in payload.alerts %}{{ j() }}{{ a.n }}{% endfor %}"[12:], "1,2,3"),
        ("{% set c = cycler('x', 'y') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}", "xyx"),
        ("{{ loop_is_only_a_name }}", ""),
    ],
)
def test_a_template_renders(template: str, text: str) -> None:
    assert shown(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ payload.started | iso8601_to_time | datetimeformat('%d.%m.%Y %H:%M') }}", "14.03.2026 09:31"),
        ("{{ payload.started | datetimeformat }}", "09:31 / 14-03-2026"),
        ("{{ payload.started | datetimeformat_as_timezone('%H:%M', 'Europe/Berlin') }}", "10:31"),
        ("{{ payload.started | datetimeformat_as_timezone('%H:%M', 'Not/AZone') }}", "None"),
        ("{{ '09:31 / 14-03-2026' | datetimeparse | datetimeformat('%Y') }}", "2026"),
        ("{{ 1773480672 | timestamp_to_datetime | datetimeformat('%Y-%m-%d') }}", "2026-03-14"),
        ("{{ (payload.started | iso8601_to_time + '1h30m' | timedeltaparse) | datetimeformat('%H:%M') }}", "11:01"),
        ("{{ '3 apples' | timedeltaparse }}", "None"),
        ("{{ 'nonsense' | iso8601_to_time }}", "None"),
        ("{{ {'b': 'ü', 'a': [1]} | tojson_pretty }}", '{\n    "a": [\n        1\n    ],\n    "b": "ü"\n}'),
        ("{{ {'b': 1, 'a': none} | tojson }} {{ {'b': 1, 'a': 2} | json_dumps }}", '{"a": null, "b": 1} {"b": 1, "a": 2}'),
        ("{{ ('{\"a\": [1, 2]}' | parse_json).a[1] }} {{ '{' | parse_json }}", "2 None"),
        ("{{ 'aGVsbG8=' | b64decode }} {{ 'x' | b64decode }}", "hello None"),
        ("{{ 'db-12' | regex_replace('([a-z]+)-([0-9]+)', '\\\\2:\\\\1') }}", "12:db"),
        ("{{ 'db-12' | regex_match('db') }} {{ 'db-12' | regex_match('12') }} {{ 'db-12' | regex_search('[0-9]+$') }}", "True False True"),
        ("{{ 'x' | regex_search('(') }} {{ 'x' | regex_replace('(', '') }}", "None None"),
    ],
)
def test_the_filters_of_oncall_work(template: str, text: str) -> None:
    assert shown(template) == text


def test_what_is_missing_is_empty_at_any_depth() -> None:
    assert shown("[{{ payload.no.such.thing }}{{ nothing[0].at.all }}{% for x in payload.none %}x{% endfor %}]") == "[]"
    assert render_condition("{{ payload.no.such == 'x' }}", {"payload": {}}) is False


def test_a_function_that_is_handed_in_may_be_called() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)

    assert shown("{{ time().year }} {{ (time() - ago).total_seconds() }}", time=lambda: now, ago=now - timedelta(hours=1)) == "2026 3600.0"


def test_a_long_output_is_cut_and_says_so() -> None:
    assert shown("{{ 'abcdef' }}", limit=4) == "abc…"
    assert shown("{{ 'abcd' }}", limit=4) == "abcd"


@pytest.mark.parametrize(("text", "truth"), [("1", True), (" True \n", True), ("OK", True), ("0", False), ("yes", False), ("", False)])
def test_a_condition_holds_for_1_true_and_ok(text: str, truth: bool) -> None:
    assert render_condition("{{ text }}", {"text": text}) is truth


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ payload. }}", "Template Error: line 1: expected name or number"),
        ("x\n{% if %}", "Template Error: line 2:"),
        ("{% for x in y %}", "Template Error: line 1: Unexpected end of template"),
        ("{{ x | nosuchfilter }}", "Template Error: line 1: No filter named 'nosuchfilter'"),
        ("{% include 'x' %}", "Template Error: line 1: include is not available"),
        ("{% import 'x' as y %}", "import is not available"),
        ("{% extends 'x' %}", "extends is not available"),
        ("a" * 50_001, "Template exceeds length limit (50001 > 50000)"),
        ("{% if x %}" * 200 + "{% endif %}" * 200, "nested too deeply"),
        ("{% for x in y %}" * 60 + "{% endfor %}" * 60, "nested too deeply"),
        ("{{ " + "(" * 20_000 + ")" * 20_000 + " }}", "nested too deeply"),
        ("{{ " + "-" * 40_000 + "1 }}", "nested too deeply"),
        ("{{ " + "[" * 5_000 + "]" * 5_000 + " }}", "nested too deeply"),
        ("{{ 1" + "+1" * 20_000 + " }}", "nested too deeply"),
        ("{{ " + "9" * 40_000 + " }}", "a number too long"),
    ],
)
def test_a_bad_template_is_refused_when_it_is_saved(template: str, why: str) -> None:
    with pytest.raises(TemplateFailed) as failed:
        check(template)

    assert why in failed.value.why


def test_errors_read_as_oncalls() -> None:
    with pytest.raises(TemplateFailed, match=r"^Template Warning: Object of type Undefined is not JSON serializable$"):
        shown("{{ nothing | tojson }}")
    with pytest.raises(TemplateFailed, match=r"^Template Error: use of 'range' is restricted$"):
        shown("{% for i in range(10) %}x{% endfor %}")
    with pytest.raises(TemplateFailed, match=r"^Template Warning: 'dict object' has no attribute 'pop'$"):
        shown("{{ payload.pop('status') }}")


def test_a_small_template_is_quick() -> None:
    template = "{{ payload.labels.alertname }} on {{ payload.labels.instance | upper }}"
    render(template, {"payload": PAYLOAD}, limit=1_000)

    best = min(_seconds_of_a_hundred(template) for _ in range(20)) / 100

    assert best < 30e-6 * 3, "30 microseconds, with room for a busy machine"


def _seconds_of_a_hundred(template: str) -> float:
    started = time.perf_counter()
    for _ in range(100):
        render(template, {"payload": PAYLOAD}, limit=1_000)
    return time.perf_counter() - started
