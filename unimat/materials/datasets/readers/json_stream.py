"""The members of a JSON file one after the other: a file of gigabytes needs the memory of its largest member."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

MAX_MEMBER = 250_000_000  # characters of one member of the outermost object or list; in memory it takes some 1.5 GB
_CHUNK = 1 << 20
_SPACE = " \t\r\n"


def members(stream: TextIO) -> Iterator[tuple[str | None, Any]]:
    """Pairs (key, value) of the outermost object, (None, value) of the outermost list.

    A list in the outermost object comes item by item, as many pairs of the same key.

    Raises:
        ValueError: if the text is no JSON, ends too early, or has a member larger than `MAX_MEMBER`.
    """
    buffer = _Buffer(stream)
    opening = buffer.take("[{", "a list or an object")
    if opening == "[":
        yield from ((None, item) for item in _items(buffer))
    else:
        yield from _pairs(buffer)
    if buffer.peek():
        raise ValueError("more text after the end of the JSON")


def _pairs(buffer: "_Buffer") -> Iterator[tuple[str, Any]]:
    if buffer.peek() == "}":
        buffer.take("}", "'}'")
        return
    while True:
        key = buffer.value()
        if not isinstance(key, str):
            raise ValueError(f"expected a key, found {key!r:.50}")
        buffer.take(":", "':'")
        if buffer.peek() == "[":
            buffer.take("[", "'['")
            yield from ((key, item) for item in _items(buffer))
        else:
            yield key, buffer.value()
        if buffer.take(",}", "',' or '}'") == "}":
            return


def _items(buffer: "_Buffer") -> Iterator[Any]:
    if buffer.peek() == "]":
        buffer.take("]", "']'")
        return
    while True:
        yield buffer.value()
        if buffer.take(",]", "',' or ']'") == "]":
            return


class _Buffer:
    """A window on the text: read on when a value does not end within it."""

    def __init__(self, stream: TextIO):
        self._stream, self._text, self._at = stream, "", 0
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._read_on():
                return ""

    def take(self, allowed: str, what: str) -> str:
        found = self.peek()
        if not found or found not in allowed:
            raise ValueError(f"expected {what}, found {found!r}" if found else f"it ends where {what} is due")
        self._at += 1
        return found

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._read_on():
                    raise
                continue
            # A number at the end of the window may go on behind it: of 1.5e+9 also "1", "1.5" and "1.5e+" make sense.
            at_end = end + len("e+") >= len(self._text)
            if at_end and not isinstance(value, str | list | dict) and self._read_on():
                continue
            self._at = end
            return value

    def _read_on(self) -> bool:
        """Lengthen the window, to at least twice what is not used up, so that retries cost no more than the text."""
        rest = self._text[self._at :]
        if len(rest) > MAX_MEMBER:
            raise ValueError(
                f"no end of a member within {MAX_MEMBER / 1e6:g} million characters; write one entry a line (.jsonl)"
            )
        more = self._stream.read(max(_CHUNK, len(rest)))
        if more:
            self._text, self._at = rest + more, 0
        return bool(more)
