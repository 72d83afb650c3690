"""What every source promises, as functions over one source and its cases; the walk in CONTRIBUTING.md is held to it too."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.core.errors import Invalid, NotUnderstood
from app.core.types import Action, Event, Ignored, Inbound, Source
from tests.sources.corpus import Case, Parsed

PLACEHOLDERS = frozenset({"url", "key", "base_url", "address"})
"""What a connect text may ask for: the URL with the key in it, the key, the installation's own URL, the mail address."""
SECONDS_PER_REQUEST = 0.001
SLACK = 10
"""A busy machine's share; bench/ measures exactly."""
_JUNK: tuple[Any, ...] = (None, True, 0, -1.5, 10**30, "", " ", "x", "\x00\ud800", "é" * 50_000, [], {}, [None], [[]], {"": None}, {"a": {"a": []}})
_REMOVED = object()


def keeps_to_its_outcomes(case: Case) -> Parsed:
    """Read a case; anything but events, Ignored, NotUnderstood and Invalid is a failure.  Gives nothing for a refusal."""
    refusal = None
    try:
        events = case.read()
    except (NotUnderstood, Invalid) as error:
        refusal = error
    if refusal:
        assert refusal.why, "a refusal says what is wrong"
        return ()
    assert isinstance(events, list), case.name
    assert events, f"{case.name}: a request that means nothing is Ignored with a reason"
    for event in events:
        assert isinstance(event, Event | Ignored)
        _is_well_formed(event)
    return events


def _is_well_formed(event: Event | Ignored) -> None:
    if isinstance(event, Ignored):
        assert event.why
        return
    assert isinstance(event.action, Action)
    assert event.dedup_key is None or (isinstance(event.dedup_key, str) and event.dedup_key)
    assert event.dedup_key is not None or not event.key_is_given
    texts = [event.summary, event.details, event.occurred_field, event.source_link, *event.labels, *event.labels.values()]
    assert all(isinstance(text, str) for text in texts)
    assert event.occurred_at is None or (event.occurred_at.tzinfo is not None and event.occurred_field), "a time names its field"
    assert all(link.href.lower().startswith(("http://", "https://")) for link in event.links)
    json.dumps(event.custom_details)


def opens_and_closes_one_problem(source: Source, cases: Sequence[Case]) -> None:
    """A firing and a resolving case share a key, or nothing would ever resolve."""
    events = [event for case in cases for event in keeps_to_its_outcomes(case) if isinstance(event, Event)]
    opened = {(event.dedup_key, event.key_is_given) for event in events if event.action is Action.TRIGGER and event.dedup_key}
    closed = {(event.dedup_key, event.key_is_given) for event in events if event.action is Action.RESOLVE and event.dedup_key}
    assert any(event.action is Action.TRIGGER for event in events), f"{source.name} has no firing case"
    assert opened & closed or not source.resolves, f"{source.name} has no resolving case with the key of a firing one"
    assert source.resolves or not any(event.action is Action.RESOLVE for event in events)


def triggers_say_what_is_wrong(cases: Sequence[Case]) -> None:
    """A person reads the summary first."""
    for case in cases:
        for event in keeps_to_its_outcomes(case):
            if isinstance(event, Event) and event.action is Action.TRIGGER:
                assert event.summary.strip(), case.name


def reads_the_same_twice(case: Case) -> None:
    """Pure: the same request means the same, and nothing handed in is changed."""
    before = copy.deepcopy((case.inbound, case.options))
    first = keeps_to_its_outcomes(case)
    assert list(keeps_to_its_outcomes(case)) == list(first)
    assert (case.inbound, case.options) == before


def survives_what_may_be_missing_or_wrong(case: Case) -> None:
    """Each member of the payload in turn is left out, null, or of every wrong kind."""
    try:
        payload = json.loads(case.inbound.body)
    except ValueError:
        return
    for path in _paths(payload):
        for junk in (*_JUNK, _REMOVED):
            changed = _changed(payload, path, junk)
            keeps_to_its_outcomes(case.with_body(json.dumps(changed).encode()))


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from _paths(member, (*path, name))


def _changed(payload: Any, path: tuple[str | int, ...], junk: Any) -> Any:
    if not path:
        return {} if junk is _REMOVED else junk
    changed = copy.deepcopy(payload)
    holder = changed
    for name in path[:-1]:
        holder = holder[name]
    if junk is _REMOVED:
        del holder[path[-1]]
    else:
        holder[path[-1]] = junk
    return changed


def is_quick(case: Case) -> None:
    """A request is read in about a millisecond."""
    assert min(_seconds(case) for _ in range(20)) < SECONDS_PER_REQUEST * SLACK, case.name


def _seconds(case: Case) -> float:
    started = time.perf_counter()
    keeps_to_its_outcomes(case)
    return time.perf_counter() - started


def can_be_tested_by_a_button(source: Source) -> None:
    """The test payload makes one trigger."""
    events = source.parse(Inbound("POST", "/", {"content-type": "application/json"}, {}, source.test_payload.encode()), {})
    assert [event.action for event in events if isinstance(event, Event)] == [Action.TRIGGER], source.name


def tells_how_to_connect(source: Source, folder: Path) -> None:
    """Numbered steps, a snippet to paste, how to test; no placeholder that nobody fills."""
    text = (folder / f"{source.name}.md").read_text()
    assert text.startswith(f"# {source.title}\n"), f"{source.name}.md begins with the source's title"
    assert "\n1. " in text
    assert "```" in text
    assert "\n## Test it\n" in text
    asked = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", text))
    assert asked & {"url", "address"}
    assert asked <= PLACEHOLDERS


def keep(source: Source, cases: Sequence[Case], connect_folder: Path) -> None:
    """The whole contract."""
    assert cases, f"there is no payload of {source.name} under tests/sources"
    opens_and_closes_one_problem(source, cases)
    triggers_say_what_is_wrong(cases)
    for case in cases:
        reads_the_same_twice(case)
        survives_what_may_be_missing_or_wrong(case)
        is_quick(case)
    can_be_tested_by_a_button(source)
    tells_how_to_connect(source, connect_folder)
