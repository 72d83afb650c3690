"""A receiver, and a send pool that ends with the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from app.engine.sender import Sender, sender_of
from tests.world.receivers import HttpReceiver


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    started = HttpReceiver()
    yield started
    started.stop()


@pytest.fixture
def sender(app: Flask) -> Iterator[Sender]:
    made = sender_of(app)
    yield made
    made.close()
