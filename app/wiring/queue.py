"""The knock and the job queue.  Both carry no truth: what is due stands in the database, and the ticker looks each second."""

from __future__ import annotations

import os
import threading
from collections import deque
from importlib import import_module
from typing import Protocol

import redis
from flask import Flask
from rq import Queue
from rq.serializers import JSONSerializer

from app.settings import Settings
from app.wiring import redis as redis_wiring

KNOCK = "tocsin:knock"
PAUSE_SECONDS = 0.05
"""A process knocks once in so long at most."""
QUEUE = "tocsin"
JOB_SECONDS = 60
"""RQ's own limit of a job.  Jobs end themselves after 3 s; this only ends one that is stuck."""
FAILURES_KEPT = 3600


class Knock:
    """Set by a commit, carried to Redis by one thread per process; no request ever waits for Redis."""

    def __init__(self, settings: Settings) -> None:
        """Know where Redis is; open nothing."""
        self._settings = settings
        self._pid = 0
        self._lock = threading.Lock()
        self.event = threading.Event()

    def ring(self) -> None:
        """Something became due."""
        if self._pid != os.getpid():
            self._start()
        self.event.set()

    def _start(self) -> None:
        """Start the thread with the first ring, and again in a forked child."""
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._carry, name="knock", daemon=True).start()

    def _carry(self) -> None:
        pause = threading.Event()
        while True:
            self.event.wait()
            self.event.clear()
            link = redis_wiring.link(self._settings)
            if link is not None:
                link.attempt(_knock)
            pause.wait(PAUSE_SECONDS)


def _knock(client: redis.Redis) -> bool:
    """One knock is enough, however many rang."""
    with client.pipeline(transaction=False) as pipeline:
        pipeline.lpush(KNOCK, b"1")
        pipeline.ltrim(KNOCK, 0, 0)
        pipeline.execute()
    return True


class JobQueue(Protocol):
    """Where jobs wait for a worker.  A job is a dotted name without arguments: a knock on the worker's door."""

    def put(self, job: str, times: int) -> bool:
        """Queue a job so often; whether it was taken."""
        ...

    def waiting(self) -> int:
        """How many jobs wait: a hint, so that they do not pile up."""
        ...


class RqQueue:
    """RQ's queue in Redis."""

    def __init__(self, link: redis_wiring.Link) -> None:
        """Use this link; ask nothing yet."""
        self._link = link

    def put(self, job: str, times: int) -> bool:
        """Jobs get fresh ids and leave no result; an RQ registry is never read for truth."""

        def work(client: redis.Redis) -> bool:
            queue = Queue(QUEUE, connection=client, serializer=JSONSerializer)
            for _ in range(times):
                queue.enqueue(job, job_timeout=JOB_SECONDS, result_ttl=0, failure_ttl=FAILURES_KEPT)
            return True

        return self._link.attempt(work) or False

    def waiting(self) -> int:
        """The length of RQ's list."""
        return self._link.attempt(lambda client: int(client.llen(f"rq:queue:{QUEUE}"))) or 0


class ListQueue:
    """A queue within the process, for tests with a clock of their own."""

    def __init__(self) -> None:
        """Start empty."""
        self.jobs: deque[str] = deque()

    def put(self, job: str, times: int) -> bool:
        """Always taken."""
        self.jobs.extend([job] * times)
        return True

    def waiting(self) -> int:
        """The length of the list."""
        return len(self.jobs)

    def run(self) -> int:
        """Do what waits, as a worker does; how many jobs that were."""
        done = 0
        while self.jobs:
            module, _, name = self.jobs.popleft().rpartition(".")
            getattr(import_module(module), name)()
            done += 1
        return done


def job_queue(app: Flask, settings: Settings) -> JobQueue | None:
    """The queue of this process: one that was installed (tests), RQ's when there is a Redis, else None."""
    installed: JobQueue | None = app.extensions.get("tocsin_jobs")
    if installed is not None:
        return installed
    link = redis_wiring.link(settings)
    return RqQueue(link) if link is not None else None
