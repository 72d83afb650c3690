"""SIGTERM and SIGINT ask a loop to end; whoever starts it in a thread brings an event of his own."""

from __future__ import annotations

import signal
import threading


def stop_on_signals(stop: threading.Event | None) -> threading.Event:
    """The event itself, or a new one that SIGTERM and SIGINT set."""
    if stop is not None:
        return stop
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
