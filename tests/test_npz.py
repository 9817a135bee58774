"""Archives of arrays, packed and not: no changed byte gives other numbers."""

import numpy as np
import pytest

from unimat import npz
from unimat.errors import UserError

ARRAYS = {"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b/c": np.array([b"{}"])}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_no_changed_byte_gives_other_numbers(tmp_path, save):
    path = tmp_path / "model.npz"
    save(path, **ARRAYS)
    content, told = path.read_bytes(), 0
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x21]) + content[at + 1 :])
        try:
            found = npz.read(path, "model.npz", "train again")
        except UserError:
            told += 1
            continue
        assert found.keys() == ARRAYS.keys()  # a date, or who made it
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array)
    assert told > len(content) / 2


def test_what_is_no_archive_is_told(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    for path in (tmp_path / "a.npy", tmp_path, tmp_path / "none.npz"):
        with pytest.raises(UserError):
            npz.read(path, "model.npz", "train again")
