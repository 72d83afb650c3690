"""No template and no payload makes a rendering run away, or lets anything out of the box."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.templating import TemplateFailed, render
from app.core.templating.filters import FILTERS_OF_TEMPLATES

PAYLOAD: Mapping[str, Any] = {"status": "firing", "labels": {"alertname": "DiskFull"}, "alerts": [{"n": 1}, {"n": 2}], "text": "Disk is at 91 %"}
BOMBS = {
    "text times a number": "{{ 'a' * 10**9 }}",
    "a number times text": "{{ 10**9 * 'a' }}",
    "list times a number": "{{ [payload] * 10**9 }}",
    "a power": "{{ 10**(10**10) }}",
    "a tower of powers": "{% set x = 9**999 %}{% set x = x**999 %}{% set x = x**999 %}{{ x }}",
    "products": "{% set ns = namespace(x=99) %}{% for a in big %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}",
    "loops in loops": "{% for a in big %}{% for b in big %}{% for c in big %}x{% endfor %}{% endfor %}{% endfor %}",
    "silent loops in loops": "{% for a in big %}{% for b in big %}{% for c in big %}{% endfor %}{% endfor %}{% endfor %}",
    "a loop with much text": "{% for a in big %}" + "x" * 40_000 + "{% endfor %}",
    "a kept loop with much text": "{% set y %}{% for a in big %}{% for b in big %}" + "x" * 40_000 + "{% endfor %}{% endfor %}{% endset %}{{ y | length }}",
    "loops that call themselves": "{% for a in big recursive %}{{ loop(big) }}{% endfor %}",
    "a macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a macro that calls itself twice": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "a block that shows itself": "{% block b %}{{ self.b() }}{% endblock %}",
    "text doubled by +": "{% set x = payload.text %}" + "{% set x = x + x %}" * 60 + "{{ x | length }}",
    "text doubled by ~": "{% set x = payload.text %}" + "{% set x = x ~ x %}" * 60 + "{{ x | length }}",
    "text doubled by output": "{% set x = payload.text %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 60 + "{{ x | length }}",
    "text doubled by join": "{% set x = payload.text %}" + "{% set x = [x, x] | join %}" * 60 + "{{ x | length }}",
    "text doubled by format": "{% set x = payload.text %}" + "{% set x = '%s%s' % (x, x) %}" * 60 + "{{ x | length }}",
    "text doubled by the format filter": "{% set x = payload.text %}" + "{% set x = '%s%s' | format(x, x) %}" * 60 + "{{ x | length }}",
    "text doubled by str.format": "{% set x = payload.text %}" + "{% set x = '{0}{0}'.format(x) %}" * 60 + "{{ x | length }}",
    "text doubled by replace": "{% set x = payload.text %}" + "{% set x = x | replace('i', 'ii') | replace('', 'b') %}" * 60 + "{{ x | length }}",
    "text doubled by regex_replace": "{% set x = payload.text %}" + "{% set x = x | regex_replace('(.+)', '\\\\1\\\\1') %}" * 60 + "{{ x | length }}",
    "replace nothing by much": "{{ huge | replace('', huge) }}",
    "replace method": "{{ huge.replace('', huge) }}",
    "join by much": "{{ big | join(huge) }}",
    "join method": "{{ huge.join(texts) }}",
    "regex_replace by much": "{{ huge[:90000] | regex_replace('a', huge) }}",
    "regex_replace by groups": "{{ huge[:90000] | regex_replace('(a+)', '" + "\\\\1" * 2_000 + "') }}",
    "lists doubled": "{% set x = [1] %}" + "{% set x = [x, x] %}" * 60 + "{{ x }}",
    "lists doubled in dictionaries": "{% set x = [1] %}" + "{% set x = {'a': x, 'b': x} %}" * 60 + "{{ x | tojson }}",
    "lists doubled and compared": "{% set x = [1] %}{% set y = [1] %}" + "{% set x = [x, x] %}{% set y = [y, y] %}" * 60 + "{{ x == y }}",
    "tuples doubled and hashed": "{% set x = (1, 2) %}" + "{% set x = (x, x) %}" * 60 + "{{ {x: 1} | length }}",
    "lists doubled by +": "{% set x = [1] %}" + "{% set x = x + x %}" * 60 + "{{ x | length }}",
    "lists doubled by *": "{% set x = [1] %}" + "{% set x = [x] * 2 %}" * 60 + "{{ x }}",
    "lists doubled by dict()": "{% set x = [1] %}" + "{% set x = dict(a=x, b=x) %}" * 60 + "{{ x }}",
    "lists doubled by a cycler": "{% set x = [1] %}" + "{% set x = cycler(x, x).items %}" * 60 + "{{ x }}",
    "lists doubled by batch": "{% set x = [1] %}" + "{% set x = [x] | batch(2, x) | list %}" * 60 + "{{ x }}",
    "lists doubled by arguments": "{% macro m(n) %}{% if n %}{{ m(n - 1, varargs, varargs) }}{% else %}{{ varargs }}{% endif %}{% endmacro %}{{ m(60) }}",
    "lists doubled in a namespace": "{% set n = namespace(x=[1]) %}" + "{% set n.x = [n.x, n.x] %}" * 60 + "{{ n.x | string }}{{ n }}",
    "namespaces of namespaces": "{% set n = namespace() %}" + "{% set n = namespace(a=n, b=n) %}" * 200 + "{{ n }}{{ [n] }}",
    "batch": "{{ [1] | batch(10**9, 'x') | list }}",
    "slice": "{{ [1] | slice(10**9) | list }}",
    "center": "{{ 'x' | center(10**9) }}",
    "ljust": "{{ 'x'.ljust(10**9) }}",
    "zfill": "{{ 'x'.zfill(10**9) }}",
    "expandtabs": "{{ '\t'.expandtabs(10**9) }}",
    "translate": "{{ 'x'.translate({120: 'y' * 9999999}) }}",
    "to_bytes": "{{ (1).to_bytes(10**9, 'big') }}",
    "encode": "{{ 'x'.encode('utf-8') * 10**10 }}",
    "indent": "{{ lines | indent(10**9) }}",
    "indent by text": "{{ lines | indent(huge) }}",
    "tojson with a wide indent": "{{ payload | tojson(10**9) }}",
    "round": "{{ 1.5 | round(10**9, 'ceil') }}",
    "wide %": "{{ '%1000000000d' % 1 }} {{ '%.1000000000f' % 1 }}",
    "wide % by star": "{{ '%*d' % (10**9, 1) }}",
    "wide % by name": "{{ '%(a)1000000000d' % {'a': 1} }}",
    "wide format filter": "{{ '%1000000000s' | format('x') }}",
    "wide str.format": "{{ '{:>1000000000}'.format(1) }}",
    "wide str.format by argument": "{{ '{:>{w}}'.format(1, w=10**9) }}",
    "wide format_map": "{{ '{a:>1000000000}'.format_map({'a': 1}) }}",
    "many fields": "{{ ('{0}' * 3000).format(huge) }}",
    "many %s": "{{ ('%(a)s' * 1900) % {'a': huge} }}",
    "sum of lists": "{{ lists | sum(start=[]) }}",
    "slices in a loop": "{% for a in texts %}{% if huge[::-1] == 'x' %}{% endif %}{% endfor %}",
    "searches in a loop": "{% for a in texts %}{% if 'zz' in huge %}{% endif %}{% endfor %}",
    "filters in a loop": "{% for a in texts %}{% set x = huge | upper %}{% endfor %}",
    "mapped filters in a loop": "{% for a in big %}{% set x = texts | map('upper') | list %}{% endfor %}",
    "sorting in a loop": "{% for a in texts %}{% set x = texts | sort(reverse=true) %}{% endfor %}",
    "wordwrap": "{{ huge | wordwrap(1) }}",
    "a bad pattern": "{{ (huge[:90000] ~ 'b') | regex_search('(a|aa)+$') }}",
    "a bad pattern in a loop": "{% for a in texts %}{{ (huge[:90000] ~ 'b') | regex_search('(a|aa)+$') }}{% endfor %}",
    "a bad pattern that replaces": "{{ (huge[:90000] ~ 'b') | regex_replace('(a|aa)+$', '') }}",
    "repeats of repeats": "{{ 'aaa' | regex_search('((a{1000}){1000}){1000}') }}",
    "a pattern that calls itself": "{{ huge | regex_search('(?R)?a(?R)?b') }}",
    "a long pattern": "{{ 'a' | regex_search('(a|b)' * 9000) }}",
    "many small cuts": "".join("{% if huge[::-1] == 'x' %}{% endif %}" for _ in range(1200)),
    "one expression of many cuts": "{{ " + " or ".join("huge[::-1] == 'x'" for _ in range(2000)) + " }}",
}  # fmt: skip
HUGE = {
    "payload": PAYLOAD,
    "big": list(range(20_000)),
    "texts": ["x" * 50 for _ in range(20_000)],
    "lists": [[n] for n in range(100_000)],
    "huge": "a" * 1_000_000,
    "lines": "a\n" * 300_000,
}
HARMLESS = {
    "loops in loops", "products", "indent", "namespaces of namespaces", "many small cuts", "one expression of many cuts", "a bad pattern",
    "a bad pattern that replaces", "repeats of repeats", "a pattern that calls itself", "a long pattern",
    "regex_replace by much", "regex_replace by groups",  # on a slow machine the clock ends them before the weight of the text does
}  # fmt: skip
"""Those that may also end well, cheaply."""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_does_not_go_off(name: str) -> None:
    memory, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()

    try:
        render(BOMBS[name], HUGE, limit=50_000)
        ended_well = True
    except TemplateFailed:
        ended_well = False

    assert time.thread_time() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200_000, "kilobytes"
    assert not ended_well or name in HARMLESS


BREAKOUTS = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ payload.__class__ }}",
    "{{ payload['__class__'] }}",
    "{{ payload | attr('__class__') }}",
    "{{ ''['__class__'] }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{0.__class__.__mro__}'.format('') }}",
    "{{ '{a.__init__}'.format_map({'a': now}) }}",
    "{{ ('{0.__class__}' | attr('format'))(1) }}",
    "{{ ['{0.__class__}'.format] | map('first') | list }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ joiner.__init__.__globals__.os }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ dict.__base__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ lipsum.__globals__ }}",
    "{{ loop.__class__ }}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}{{ m._func }}{{ m._environment }}",
    "{% for x in [1] %}{{ loop._iterable }}{{ loop._recurse }}{% endfor %}",
    "{{ undefined_name.__class__.__init__ }}",
    "{{ now.__reduce__() }}",
    "{{ payload.items.__self__.clear() }}",
    "{{ payload.clear() }}",
    "{{ payload.update({'x': 1}) }}",
    "{{ payload.alerts.append(1) }}",
    "{{ payload.alerts.__setitem__(0, 1) }}",
    "{{ dict.fromkeys([1]) }}",
    "{{ str }}",
    "{{ eval('1') }}{{ open('/etc/passwd') }}",
    "{{ config }}{{ request }}{{ g }}{{ environment }}{{ context }}",
    "{{ x | map(' counted') | list }}",
    "{% set payload.status = 'x' %}",
]
INNARDS = ("<class", "object at", "__globals__", "subclasses", "/bin", "Environment", "0x")


@pytest.mark.parametrize("template", BREAKOUTS)
def test_nothing_gets_out_of_the_box(template: str) -> None:
    payload = {"status": "firing", "alerts": [1]}
    try:
        text = render(template, {"payload": payload, "now": datetime(2026, 1, 1, tzinfo=UTC), "x": [1]}, limit=10_000)
    except TemplateFailed:
        text = ""

    assert not any(innard in text for innard in INNARDS), text
    assert payload == {"status": "firing", "alerts": [1]}


class Thing:
    """What a caller should not have handed in."""

    def run(self) -> str:
        return "it ran"


def test_methods_of_things_that_are_handed_in_may_not_be_called() -> None:
    with pytest.raises(TemplateFailed, match="run may not be called"):
        render("{{ thing.run() }}", {"thing": Thing()}, limit=100)
    with pytest.raises(TemplateFailed, match="may not be called"):
        render("{{ thing() }}", {"thing": Thing}, limit=100)


def test_a_hostile_payload_costs_no_more_than_its_length() -> None:
    filters = sorted(name for name in FILTERS_OF_TEMPLATES if name not in {"attr", "batch", "slice", "groupby", "map", "select", "reject"})
    payloads = ["<" * 500_000, "<!--" * 200_000, "<>" * 300_000, "a " * 300_000, "\n" * 600_000, "%" * 500_000, "{" * 500_000, "[" * 100_000, "1" * 600_000]

    for payload in payloads:
        for name in filters:
            started = time.thread_time()
            with contextlib.suppress(TemplateFailed):
                render(f"{{{{ x | {name} }}}}", {"x": payload}, limit=1_000)
            assert time.thread_time() - started < 1, f"{name} on {payload[:6]}"


def outcome(template: str, context: Mapping[str, Any]) -> str:
    try:
        return render(template, context, limit=100)
    except TemplateFailed as failed:
        return failed.why.partition(":")[0]


WORDS = st.sampled_from(
    """
    {{ }} {% %} {%- -%} payload .alerts .labels [0] | upper lower join ( ) 'a' "b" 1 0 -1 ~ + - * / ** % == != < in not and or if else endif for
    a in payload endfor set = macro m endmacro call endcall [ ] { } : , first last sort map list length tojson default format {# #} loop loop.index
    namespace dict() cycler is defined none true 1.5 .format .split() .items() striptags regex_search int float batch round sum attr _ __class__
    """.split()  # noqa: SIM905 - a table of words reads better
)


@settings(max_examples=1_000)
@given(st.lists(WORDS, max_size=30).map(" ".join) | st.lists(WORDS, max_size=10).map(lambda words: "{{ payload " + " ".join(words) + " }}"))
def test_any_text_renders_or_fails_as_a_template(template: str) -> None:
    assert len(outcome(template, {"payload": PAYLOAD})) <= 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=500)
@given(JSON, st.sampled_from(sorted(FILTERS_OF_TEMPLATES)))
def test_any_filter_takes_any_value_or_fails_as_a_template(value: Any, name: str) -> None:
    for template in (f"{{{{ x | {name} }}}}", f"{{{{ x | {name}(x) }}}}", f"{{{{ x | {name}(x, x) | list }}}}"):
        assert len(outcome(template, {"x": value})) <= 100
