"""Files of JSON lines that grow: each line ends with the CRC-32 of what stands before it."""

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

NAME = "crc32"  # the last key of a line
_END = re.compile(rb', "crc32": "([0-9a-f]{8})"\}\n')
_LENGTH = len(', "crc32": "00000000"}\n')


def line_of(values: Mapping[str, Any]) -> str:
    """`values` as a line of JSON, checksum and line break included."""
    return sealed(json.dumps(values))


def sealed(text: str) -> str:
    """The JSON text of a mapping that is not empty as a line, with its checksum."""
    text = text[:-1]
    return f'{text}, "{NAME}": "{zlib.crc32(text.encode()):08x}"}}\n'


def fits(line: bytes) -> bool | None:
    """Whether a line fits its checksum; None of a line without one, as older versions wrote."""
    found = _END.fullmatch(line[-_LENGTH:])
    return zlib.crc32(line[:-_LENGTH]) == int(found.group(1), 16) if found else None


def text_of(line: bytes) -> str | None:
    """The JSON text that a line was made of; None if it is not what was written, or no whole line of a mapping."""
    sound = fits(line)
    text = line[:-_LENGTH] + b"}" if sound else line
    try:
        values = json.loads(text) if sound is not False and line.endswith(b"\n") else None
    except ValueError:
        return None
    return text.decode().strip() if isinstance(values, dict) and NAME not in values else None


def values_of(line: bytes) -> dict[str, Any] | None:
    """What a line says, without its checksum; None as `text_of`."""
    text = text_of(line)
    return None if text is None else json.loads(text)
