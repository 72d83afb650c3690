"""What Tocsin cannot read is not lost: it opens one incident that says so."""

from __future__ import annotations

from tests.world import World


def test_an_unreadable_body_pages_with_the_body_attached(world: World) -> None:
    tool = world.paging("ann", source="prometheus")

    tool.post(data=b"<alert>disk full on db-1</alert>").is_(400).says("not")

    world.incident("Unrecognised payload").is_triggered().has(kind="unrecognised")
    world.hook("ann").expects("Unrecognised payload")
    seen = tool.last_request()
    assert (seen.verdict, seen.body) == ("unrecognised", b"<alert>disk full on db-1</alert>")


def test_many_unreadable_bodies_open_one_incident(world: World) -> None:
    tool = world.integration(source="prometheus")

    for n in range(5):
        tool.post(data=b"rubbish %d" % n).is_(400)

    world.incident("Unrecognised payload").counts(triggers=5)
    assert len(tool.requests()) == 5


def test_each_integration_has_its_own(world: World) -> None:
    for name in ("one", "two"):
        world.integration(name, source="prometheus").post(data=b"rubbish").is_(400)

    assert len(world.incidents("Unrecognised payload")) == 2


def test_after_it_is_resolved_the_next_opens_another(world: World) -> None:
    tool = world.integration(source="prometheus")
    world.user("ann")
    tool.post(data=b"rubbish")
    world.incident("Unrecognised payload").resolve(by="ann")

    tool.post(data=b"rubbish")

    assert len(world.incidents("Unrecognised payload")) == 2


def test_a_stranger_opens_nothing(world: World) -> None:
    tool = world.integration(source="prometheus")
    tool.key = "0" * 32

    world.post("/api/v2/prometheusalertmanager/incoming", query_string={"token": tool.key}, data=b"rubbish").is_(401)

    world.has_no_incident()
