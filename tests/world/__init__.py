"""The fake world: the real app, a clock that tests move, and everybody who posts to it or is paged by it."""

from tests.world.senders import IntegrationInTest
from tests.world.world import World

__all__ = ["IntegrationInTest", "World"]
