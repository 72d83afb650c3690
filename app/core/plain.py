"""The text of an HTML document, for those who only read text."""

from __future__ import annotations

import html
import re

_UNSEEN = frozenset({"head", "script", "style", "template", "title"})
_BLOCKS = frozenset(
    "address article blockquote div dl footer form h1 h2 h3 h4 h5 h6 header hr ol p pre section table ul".split()  # noqa: SIM905 - a table
)
_LINES = {"br": "\n", "dd": "\n", "dt": "\n", "li": "\n- ", "td": " ", "th": " ", "tr": "\n"}
_HREF = re.compile(r"""href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\r\f\v\u00a0]+")
_EMPTY_LINES = re.compile(r"\n{3,}")


def text_of_html(source: str) -> str:
    """Plain text with a line for each block and links as `text (address)`.  One pass, so that no input is slow."""
    return _Reader(source).read()


class _Reader:
    """Goes through a document once, from tag to tag."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._lower = source.lower() if len(source.lower()) == len(source) else source
        self._pieces: list[str] = []
        self._links: list[str] = []

    def read(self) -> str:
        """The text."""
        at = 0
        while (start := self._source.find("<", at)) >= 0:
            self._say(self._source[at:start])
            at = self._after_tag(start)
        self._say(self._source[at:])
        text = html.unescape("".join(self._pieces))
        lines = [line.strip() for line in _BLANKS.sub(" ", text).split("\n")]
        return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip()

    def _say(self, text: str) -> None:
        self._pieces.append(text.replace("\n", " "))

    def _after_tag(self, start: int) -> int:
        """Where the text goes on after what begins at `start`."""
        if self._source.startswith("<!--", start):
            return self._beyond("-->", start + 4)
        if not self._source[start + 1 : start + 2].isalpha() and self._source[start + 1 : start + 2] not in ("/", "!", "?"):
            self._pieces.append("&lt;")
            return start + 1
        end = self._beyond(">", start)
        tag = self._source[start + 1 : end - 1]
        name = re.match(r"/?\s*([a-zA-Z0-9]*)", tag)
        word = name[1].lower() if name else ""
        if word in _UNSEEN and not tag.startswith("/"):
            return self._beyond(">", self._beyond(f"</{word}", end))
        if word in _BLOCKS:
            self._pieces.append("\n")
        elif word in _LINES and not tag.startswith("/"):
            self._pieces.append(_LINES[word])
        if word == "a":
            self._link(tag)
        return end

    def _link(self, tag: str) -> None:
        if not tag.startswith("/"):
            found = _HREF.search(tag[:4000])
            self._links.append(next((group for group in found.groups() if group), "") if found else "")
        elif self._links:
            address = self._links.pop()
            if address.startswith(("http://", "https://")) and address not in self._pieces[-1]:
                self._pieces.append(f" ({address})")

    def _beyond(self, sign: str, start: int) -> int:
        """Just after the next `sign`; the end of the document when there is none."""
        found = self._lower.find(sign, start)
        return len(self._source) if found < 0 else found + len(sign)
