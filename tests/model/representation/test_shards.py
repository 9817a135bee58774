import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest

from tests.model.model_helpers import encoded_in_memory, random_table, write_tiny_dataset
from unimat.errors import UserError
from unimat.files import read_json, sha256
from unimat.model.representation.encoded import concatenated, padded
from unimat.model.representation.shards import ContentHash, EncodedSplit, SplitWriter, open_shard, read_index
from unimat.model.settings import EncodeSettings

ARRAYS = ("cell", "slot", "coords", "lattice")


@pytest.fixture
def dataset(tmp_path):
    """Encoded dataset of 20, 7 and 5 crystals in shards of 6."""
    write_tiny_dataset(tmp_path, shard_rows=6)
    return tmp_path


def crystals(n=20, **choices):
    return encoded_in_memory(random_table(n), EncodeSettings(**choices))[0]


def written(folder, parts, shard_rows):
    writer = SplitWriter(folder, shard_rows)
    for part in parts:
        writer.write(part)
    return writer.finish()


@pytest.mark.parametrize("shard_rows", [1, 6, 7, 20, 100])
def test_crystals_come_back_from_shards_of_any_size(tmp_path, shard_rows):
    whole = crystals()
    parts = [whole.part(0, 3), whole.part(3, 3), whole.part(3, 17), whole.part(17, 20)]
    index = written(tmp_path, parts, shard_rows)
    assert [shard.rows for shard in index.files[:-1]] == [shard_rows] * (len(index.files) - 1)
    back = concatenated([open_shard(tmp_path / shard.name, shard) for shard in index.files])
    assert back.material_ids.equals(whole.material_ids)
    for name in ("offsets", *ARRAYS):
        np.testing.assert_array_equal(getattr(back, name), getattr(whole, name))
    assert index.content == written(tmp_path / "once", [whole], 1000).content


def test_properties_come_back_and_change_the_content_hash(tmp_path):
    whole = crystals()
    gaps, text = np.linspace(0, 2, 20, dtype=np.float32), np.arange(60, dtype=np.float32).reshape(20, 3)
    gaps[4] = np.nan
    told = dataclasses.replace(whole, properties={"band gap": gaps, "text": text})
    index = written(tmp_path / "told", [told.part(0, 5), told.part(5, 20)], 7)
    back = concatenated([open_shard(tmp_path / "told" / shard.name, shard) for shard in index.files])
    assert back.properties.keys() == told.properties.keys()
    for name, values in told.properties.items():
        np.testing.assert_array_equal(back.properties[name], values)
    batch = padded(back, 8)
    np.testing.assert_array_equal(batch["properties"], np.concatenate([gaps[:, None], text], axis=1))
    assert batch.keys() - padded(whole, 8).keys() == {"properties"}
    other = dataclasses.replace(told, properties={"band gap": gaps + 1, "text": text})
    renamed = dataclasses.replace(told, properties={"gap": gaps, "text": text})
    parts = {"whole": whole, "other": other, "renamed": renamed}
    hashes = {written(tmp_path / name, [part], 7).content for name, part in parts.items()} | {index.content}
    assert len(hashes) == 4


def test_a_dataset_without_properties_keeps_the_content_hash_of_version_0_1(tmp_path):
    write_tiny_dataset(tmp_path, choices=(1, 3, 4), elements=("H", "Be"))
    assert read_index(tmp_path, "train").content == "c208e73829e7b8bbc2ca9013735d318f1f6540699ee58e9dd4ccea7c5424bfa3"
    assert "properties" not in read_json(tmp_path / "encoding.json")


def test_content_hash_sees_every_column():
    whole = crystals(4)
    hashes = set()
    for name in (None, *ARRAYS):
        part = whole.part(0, 4)
        if name:
            changed = getattr(part, name).copy()
            changed.flat[-1] += 1
            object.__setattr__(part, name, changed)
        digest = ContentHash()
        digest.update(part)
        hashes.add(digest.hexdigest())
    assert len(hashes) == 5


def test_index_names_size_rows_and_hash_of_each_file(dataset):
    index = read_index(dataset, "train")
    assert [shard.name for shard in index.files] == [f"shard-{i:05d}.arrow" for i in range(4)]
    assert [shard.rows for shard in index.files] == [6, 6, 6, 2]
    for shard in index.files:
        path = dataset / "train" / shard.name
        assert (path.stat().st_size, sha256(path)) == (shard.bytes, shard.sha256)


def test_arrays_are_views_of_the_file(dataset):
    """Opening reads nothing: 2.2 million crystals are there at once."""
    for array in (getattr(EncodedSplit(dataset, "train").shards[0], name) for name in ("offsets", *ARRAYS)):
        assert not array.flags.owndata
        assert not array.flags.writeable


def test_other_readers_of_arrow_understand_a_shard(dataset):
    row = pa.ipc.open_file(str(dataset / "train" / "shard-00001.arrow")).read_all().slice(2, 1).to_pylist()[0]
    ours = EncodedSplit(dataset, "train").shards[1]
    assert row["material_id"] == "r0-8"
    assert [atom["coords"] for atom in row["atoms"]] == ours.coords[ours.offsets[2] : ours.offsets[3]].tolist()
    assert row["lattice"] == ours.lattice[2].tolist()


def test_batch_takes_rows_of_all_shards_in_the_order_asked_for(dataset):
    split = EncodedSplit(dataset, "train")
    everything = padded(concatenated(split.shards), 3)
    rows = np.array([19, 0, 5, 6, 0, 12, 18])
    for name, array in split.batch(rows, 3).items():
        np.testing.assert_array_equal(array, everything[name][rows])


def test_slots_above_255_take_wider_integers(tmp_path):
    whole = crystals(3)
    slot = whole.slot.copy()
    slot[-1] = 300
    object.__setattr__(whole, "slot", slot)
    index = written(tmp_path, [whole], 2)
    kinds = [open_shard(tmp_path / shard.name, shard).slot.dtype for shard in index.files]
    assert kinds == [np.uint8, np.uint16]


def test_a_split_without_crystals_has_no_shards(tmp_path):
    (tmp_path / "val").mkdir()
    index = {"content": written(tmp_path / "val", [], 5).content, "files": []}
    (tmp_path / "encoding.json").write_text(json.dumps({"shards": {"val": index}}))
    split = EncodedSplit(tmp_path, "val")
    assert len(split) == 0
    assert split.batch(np.zeros(0, int), 4)["coords"].shape == (0, 4, 3)


def replaced(path, content):
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"shard-00001\.arrow is missing"),
        (lambda path: replaced(path, path.read_bytes()[:-100]), r"has \d+ bytes, \d+ in encoding\.json"),
        (lambda path: replaced(path, path.read_bytes() + b"x"), r"has \d+ bytes, \d+ in encoding\.json"),
        (lambda path: replaced(path, bytes(path.stat().st_size)), "is not what was written"),
        (lambda path: replaced(path, path.read_bytes().replace(b"\x06", b"\x07", 1)), "is not what was written"),
    ],
)
def test_damaged_shards_are_named_with_the_remedy(dataset, damage, message):
    damage(dataset / "train" / "shard-00001.arrow")
    with pytest.raises(UserError, match=rf"{message}.*run `unimat encode` again") as caught:
        EncodedSplit(dataset, "train")
    assert "\n" not in str(caught.value)
    assert len(EncodedSplit(dataset, "val")) == 7


def test_file_of_another_table_in_place_of_a_shard_is_named(dataset):
    path = dataset / "train" / "shard-00000.arrow"
    table = pa.table({"cell": [1, 2]})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    index = read_json(dataset / "encoding.json")
    index["shards"]["train"]["files"][0] |= {"bytes": path.stat().st_size, "sha256": sha256(path)}
    (dataset / "encoding.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="not a shard of encoded crystals"):
        EncodedSplit(dataset, "train")


def test_wrong_number_of_crystals_is_named(dataset):
    index = read_json(dataset / "encoding.json")
    index["shards"]["train"]["files"][2]["rows"] = 5
    (dataset / "encoding.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"shard-00002\.arrow has 6 crystals, 5 in encoding\.json"):
        EncodedSplit(dataset, "train")


@pytest.mark.parametrize(
    "values", [{}, {"shards": {}}, {"shards": {"train": {"content": "x"}}}, {"shards": {"train": 1}}]
)
def test_encoding_without_an_index_is_one_line(tmp_path, values):
    (tmp_path / "encoding.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"encoding\.json") as caught:
        EncodedSplit(tmp_path, "train")
    assert "\n" not in str(caught.value)
