"""`flask worker`: RQ's SimpleWorker in this very process, which has the app already (a forking worker does a tenth).

It outlives Redis: when that goes away, it waits for it.
"""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

import redis as redis_library
from flask import Flask
from rq import Queue
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker, WorkerStatus

from app.engine.sender import sender_of
from app.wiring import redis
from app.wiring.processes import Heartbeat
from app.wiring.queue import QUEUE
from app.wiring.runtime import Runtime

WAIT_SECONDS = 1.0
"""Between looks for a Redis that is away."""
BLOCK_SECONDS = 5
log = logging.getLogger(__name__)


class Worker(SimpleWorker):
    """Takes no commands through Redis, leaves signals to `serve`, and notices a Redis that hangs within seconds."""

    @property
    def dequeue_timeout(self) -> int:
        """How long it waits for a job in one go."""
        return BLOCK_SECONDS

    @property
    def connection_timeout(self) -> int:
        """How long any call may take: the wait for a job and a little."""
        return BLOCK_SECONDS + 2

    def subscribe(self) -> None:
        """Listen to no channel: whoever reaches Redis could stop the workers by it."""

    def unsubscribe(self) -> None:
        """Nothing to leave."""

    def _install_signal_handlers(self) -> None:
        """`serve` has its own."""

    def stop(self) -> None:
        """End after the present job; at once when there is none (called from a signal handler)."""
        self._stop_requested = True
        if self.get_state() in (WorkerStatus.IDLE, WorkerStatus.STARTED):
            raise StopRequested


class Service:
    """The loop of `flask worker`."""

    def __init__(self, app: Flask) -> None:
        """Open nothing yet."""
        self._runtime: Runtime = app.extensions["tocsin"]
        self._stop = threading.Event()
        self._worker: Worker | None = None

    def request_stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Handle SIGTERM and SIGINT."""
        self._stop.set()
        if self._worker is not None:
            self._worker.stop()

    def serve(self) -> None:
        """Work whenever there is a Redis to hear from."""
        while not self._stop.is_set():
            url = redis.url_of(self._runtime.settings)
            if url and redis.is_up(self._runtime.settings):
                self._work(url)
            self._stop.wait(WAIT_SECONDS)

    def _work(self, url: str) -> None:
        """Until it is stopped, or Redis fails."""
        client = redis.connect(url, read_seconds=BLOCK_SECONDS + 2)
        try:
            self._worker = Worker([Queue(QUEUE, connection=client, serializer=JSONSerializer)], connection=client, serializer=JSONSerializer)
            self._worker.log_job_description = False
            if not self._stop.is_set():
                self._worker.work(logging_level="WARNING")
        except StopRequested:
            pass
        except (redis_library.RedisError, OSError) as error:
            log.warning("Redis is away (%s); the ticker sends meanwhile.", type(error).__name__)
        finally:
            self._worker = None
            client.close()


def serve(app: Flask) -> None:
    """Run until SIGTERM or SIGINT; the present job and what is being sent come to their end."""
    service = Service(app)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, service.request_stop)
    with app.app_context(), Heartbeat(app, "worker"):
        log.info("The worker runs.")
        service.serve()
        sender_of(app).drain()
    log.info("The worker has stopped.")
