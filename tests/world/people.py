"""Those who are paged, and how tests ask what they got."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.world.receivers import Answer, Page

if TYPE_CHECKING:
    from tests.world.world import World


class Mailbox:
    """The messages of one address that no test has looked at yet."""

    def __init__(self, world: World, name: str, pages: list[Page]) -> None:
        self._world = world
        self.name = name
        self._pages = pages

    def expects(self, *words: str) -> Page:
        """Take the oldest message that holds all these words; what is due is sent first."""
        self._world.settle()
        for n, page in enumerate(self._pages):
            if all(word.lower() in page.text.lower() for word in words):
                return self._pages.pop(n)
        raise AssertionError(f"{self.name} got nothing with {words}; {self._world.explain()}")

    def expects_nothing(self) -> None:
        """Nobody wrote here."""
        self._world.settle()
        assert not self._pages, f"{self.name} got {[str(page) for page in self._pages]}"

    def count(self) -> int:
        """How many messages wait here."""
        self._world.settle()
        return len(self._pages)


class Hook(Mailbox):
    """A mailbox behind a webhook, which can answer badly."""

    def answers(self, *statuses: int, headers: dict[str, str] | None = None) -> None:
        """What the next requests are answered, in order; afterwards 200."""
        self._world.receiver.answers[self.name] += [Answer(status, headers or {}) for status in statuses]
