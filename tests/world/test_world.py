"""The fake world notices what it must notice."""

from __future__ import annotations

import socket

import pytest

from tests.world import World, guards


def test_an_unexpected_message_is_noticed(world: World) -> None:
    world.paging("ann").event("trigger", "disk", summary="Disk full")

    with pytest.raises(AssertionError, match="unexpected messages"):
        world.leave()

    world.hook("ann").expects("Disk full")


def test_a_missing_message_is_noticed_and_explained(world: World) -> None:
    world.integration().event("trigger", "disk", summary="Disk full")

    with pytest.raises(AssertionError, match="no_policy"):
        world.hook("ann").expects("Disk full")


def test_a_message_is_taken_once(world: World) -> None:
    world.paging("ann").event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")

    with pytest.raises(AssertionError, match="got nothing"):
        world.hook("ann").expects("Disk full")


def test_what_is_due_on_the_way_happens_at_its_own_moment(world: World) -> None:
    tool = world.paging("ann", "bob", "carl")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")

    world.clock.advance(minutes=4, seconds=59)
    world.hook("bob").expects_nothing()
    world.clock.advance(seconds=1)
    world.hook("bob").expects("Disk full")
    world.clock.advance(days=1)
    world.hook("carl").expects("Disk full")


def test_one_long_advance_is_as_good_as_many_short_ones(world: World) -> None:
    world.paging("ann", "bob").event("trigger", "disk", summary="Disk full")

    world.clock.advance(days=1)

    world.hook("ann").expects("Disk full")
    world.hook("bob").expects("Disk full")


def test_tests_reach_this_machine_only() -> None:
    with pytest.raises(OSError, match="loopback"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)

    assert guards.violations == ["192.0.2.1"]
    guards.violations.clear()


def test_tests_resolve_no_names() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("example.com", 443)


def test_a_hanging_test_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(TimeoutError), guards.time_limit(1):
        listener.accept()
