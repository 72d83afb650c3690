"""Receivers for the channels' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app import channels
from app.core.types import Channel
from tests.channels.outside import HttpOutside, MailHandler, MailOutside, Outside, RawServer, mail_listening, silent


@pytest.fixture
def server() -> Iterator[RawServer]:
    started = RawServer(silent)
    yield started
    started.stop()


@pytest.fixture(params=channels.all(), ids=lambda channel: channel.name)
def channel(request: pytest.FixtureRequest) -> Channel:
    found: Channel = request.param
    return found


@pytest.fixture
def outside(channel: Channel, server: RawServer) -> Iterator[Outside]:
    """The other side of the channel under test; a new channel adds its own here."""
    if channel.name == "email":
        handler = MailHandler()
        with mail_listening(handler) as port:
            yield MailOutside(port, handler, server)
        return
    assert channel.name == "webhook", f"the contract test knows no other side for {channel.name}"
    yield HttpOutside(server)
