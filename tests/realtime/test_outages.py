"""The database or Redis is away: no false promise, nothing lost, no restart needed."""

from __future__ import annotations

import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.realtime.installation import Installation, children_of, new_key, until, usual_document
from tests.realtime.load import Reply, Sender, event, in_threads, storm
from tests.realtime.servers import Cluster, RedisServer, cluster, postgresql_programs
from tests.world import databases as database_kinds
from tests.world.receivers import HttpReceiver

PROGRAMS = postgresql_programs()


@pytest.fixture
def server() -> Iterator[Cluster]:
    if PROGRAMS is None:
        pytest.skip("initdb and pg_ctl are not installed here")
    with cluster(PROGRAMS) as made:
        yield made


def database_of(server: Cluster, folder: Path) -> str:
    """A migrated database on a cluster."""
    with psycopg.connect(f"{server.url}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE tocsin")
    url = f"{server.url}/tocsin"
    database_kinds.migrate(url, folder)
    return url


@pytest.fixture
def on_cluster(server: Cluster, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path, database_of(server, tmp_path))
    try:
        made.apply(usual_document())
        made.start_web()
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_postgresql_stopped_and_started_needs_no_restart_and_breaks_no_promise(server: Cluster, on_cluster: Installation, mode: str) -> None:
    workers = on_cluster.web_workers()
    sender = Sender(on_cluster.port)
    before = [sender.send(event("trigger", new_key())) for _ in range(20)]

    server.stop(mode)
    meanwhile = [sender.send(event("trigger", new_key())) for _ in range(10)]
    server.start()
    after = until(lambda: taken(sender.send(event("trigger", new_key()))), what=f"a 202 after the start; {on_cluster.log()}")
    more = storm(on_cluster.port, [event("trigger", new_key()) for _ in range(100)], senders=16)
    sender.close()

    assert {reply.status for reply in before} == {202}
    assert {reply.status for reply in meanwhile} == {503}
    assert all(int(reply.headers["retry-after"]) > 0 and b"again" in reply.body for reply in meanwhile)
    assert max(reply.seconds for reply in meanwhile) < 5
    assert {reply.status for reply in more} == {202}
    assert on_cluster.web_workers() == workers
    assert on_cluster.scalar("SELECT count(*) FROM incidents") == len(before) + len(after) + len(more)


def test_a_storm_through_a_crash_of_postgresql_loses_nothing_that_was_promised(server: Cluster, on_cluster: Installation) -> None:
    keys = [new_key() for _ in range(600)]
    replies: list[Reply] = []

    def crash() -> None:
        until(lambda: on_cluster.scalar("SELECT count(*) FROM incidents") > 100, what="the storm")
        server.stop("immediate")
        server.start()

    in_threads([crash, lambda: replies.extend(storm(on_cluster.port, [event("trigger", key) for key in keys], senders=16, repeat=True))])

    assert sum(reply.status == 202 for reply in replies) == 600
    assert {reply.status for reply in replies} <= {202, 503}
    assert any(reply.status == 503 for reply in replies), "nobody noticed the crash, so nothing was proven"
    assert {key for (key,) in on_cluster.rows("SELECT dedup_key FROM alerts")} == set(keys)
    assert on_cluster.scalar("SELECT count(*) FROM incidents") == 600


def test_the_whole_hub_lives_through_an_outage_of_postgresql_and_pages_afterwards(server: Cluster, tmp_path: Path) -> None:
    receiver = HttpReceiver()
    hub = Installation(tmp_path, database_of(server, tmp_path))
    try:
        hub.apply(usual_document(hook_url=receiver.url("ann")))
        process = hub.flask("hub")
        sender = Sender(hub.port)
        until(lambda: sender.send(event("trigger", "before")).status == 202, 60, f"the hub; {hub.log()}")
        until(lambda: [page for page in receiver.pages["ann"] if "Problem before" in page.text], what=f"the first page; {hub.log()}")
        children = children_of(process.pid)

        server.stop("immediate")
        time.sleep(3)
        server.start()

        until(lambda: sender.send(event("trigger", "after")).status == 202, what=f"a 202; {hub.log()}")
        until(lambda: [page for page in receiver.pages["ann"] if "Problem after" in page.text], what=f"a page; {hub.log()}")
        sender.close()
        assert children_of(process.pid) == children, "a process had to be started again"
    finally:
        hub.stop()
        receiver.stop()


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed here")
    made = RedisServer(tmp_path_factory.mktemp("redis"))
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("trouble", ["stop", "hang", "flush"])
def test_redis_in_trouble_changes_nothing_for_senders(redis_server: RedisServer, databases: database_kinds.Databases, tmp_path: Path, trouble: str) -> None:
    web = Installation(tmp_path, databases.make(tmp_path), REDIS_URL=redis_server.url)
    try:
        web.apply(usual_document())
        web.start_web()
        replies: list[Reply] = []
        started = threading.Event()

        def make_trouble() -> None:
            started.wait()
            until(lambda: web.scalar("SELECT count(*) FROM incidents") > 50, what="the storm")
            getattr(redis_server, trouble)()

        def send() -> None:
            started.set()
            replies.extend(storm(web.port, [event("trigger", new_key()) for _ in range(600)], senders=8))

        in_threads([make_trouble, send])
        more = storm(web.port, [event("trigger", new_key()) for _ in range(50)], senders=1)

        assert {reply.status for reply in replies + more} == {202}
        assert statistics.median(reply.seconds for reply in more) < 0.1, "requests wait for Redis"
        assert web.scalar("SELECT count(*) FROM incidents") == 650
    finally:
        web.stop()


def taken(reply: Reply) -> list[Reply]:
    return [reply] if reply.status == 202 else []
