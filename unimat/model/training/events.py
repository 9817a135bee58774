"""Scalars for TensorBoard, in the few bytes of its format that they need, so that no package is needed to write them.

An events file is a series of records (length, its CRC, data, its CRC), each a protocol buffer `Event`. Source:
tensorflow/core/lib/io/record_writer.h and tensorflow/core/util/event.proto.
"""

import struct
import time
from collections.abc import Mapping
from pathlib import Path


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), RFC 3720."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _varint(value: int) -> bytes:
    head = b""
    while value > 0x7F:
        head, value = head + bytes([value & 0x7F | 0x80]), value >> 7
    return head + bytes([value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _event(content: bytes) -> bytes:
    return _record(b"\x09" + struct.pack("<d", time.time()) + content)  # field 1: wall time


class Events:
    """An events file in `folder`, named by the step at which it starts."""

    def __init__(self, folder: Path, step: int):
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"events.out.tfevents.{int(time.time())}.{step}"
        self._path.write_bytes(_event(_field(3, b"brain.Event:2")))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        values = [_field(1, name.encode()) + b"\x15" + struct.pack("<f", value) for name, value in scalars.items()]
        summary = b"".join(_field(1, value) for value in values)
        with self._path.open("ab") as stream:
            stream.write(_event(b"\x10" + _varint(step) + _field(5, summary)))
