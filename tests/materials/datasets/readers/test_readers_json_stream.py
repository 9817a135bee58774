"""JSON one member at a time."""

import io
import json

import pytest

from unimat.materials.datasets.readers import json_stream


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 7, 64])
def test_json_is_the_same_whatever_the_window(monkeypatch, chunk):
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    value = {"a": 12345678, "b": [1.5e10, None, "x\\n\u00e9"], "c": {"d": [1]}, "e": [], "f": -0.25e-9}
    pairs = list(json_stream.members(io.StringIO(json.dumps(value, indent=1))))
    assert pairs == [
        ("a", 12345678), ("b", 1.5e10), ("b", None), ("b", "x\\n\u00e9"), ("c", {"d": [1]}), ("f", -0.25e-9),
    ]  # fmt: skip
    assert list(json_stream.members(io.StringIO("[12, 345]"))) == [(None, 12), (None, 345)]


def test_json_needs_the_memory_of_one_member(monkeypatch):
    largest = 0

    class Window(json_stream._Buffer):
        def _read_on(self):
            nonlocal largest
            found = super()._read_on()
            largest = max(largest, len(self._text))
            return found

    monkeypatch.setattr(json_stream, "_Buffer", Window)
    monkeypatch.setattr(json_stream, "_CHUNK", 1000)
    text = json.dumps({"entries": [{"x": "y" * 300}] * 1000})
    assert sum(1 for _ in json_stream.members(io.StringIO(text))) == 1000
    assert largest < 3000
    monkeypatch.setattr(json_stream, "MAX_MEMBER", 5000)
    with pytest.raises(ValueError, match=r"write one entry a line \(.jsonl\)"):
        list(json_stream.members(io.StringIO(json.dumps(["z" * 100_000]))))
