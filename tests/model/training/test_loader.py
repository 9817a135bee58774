import contextlib
import threading
import time

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from tests.model.model_helpers import write_tiny_dataset
from unimat.errors import UserError
from unimat.model.representation.encoded import concatenated, padded
from unimat.model.representation.shards import EncodedSplit
from unimat.model.training.loader import Loader, batch_rows, read_ahead

WIDTH, SIZE = 3, 8


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """20 crystals in four shards."""
    folder = tmp_path_factory.mktemp("encoded")
    write_tiny_dataset(folder, shard_rows=6)
    return EncodedSplit(folder, "train")


def as_arrays(batches):
    return [{name: np.asarray(array) for name, array in batch.items()} for batch in batches]


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        for name in ("cell", "slot", "coords", "lattice"):
            np.testing.assert_array_equal(one[name], other[name])


def test_epochs_are_permutations_and_batches_a_function_of_seed_and_step():
    n, size = 10, 4
    drawn = np.concatenate([batch_rows(7, step, size, n) for step in range(10)])
    for epoch in range(4):
        assert sorted(drawn[epoch * n : (epoch + 1) * n]) == list(range(n))
    assert drawn[:n].tolist() != drawn[n : 2 * n].tolist()
    np.testing.assert_array_equal(batch_rows(7, 3, size, n), drawn[12:16])
    assert len(batch_rows(0, 5, 25, n)) == 25  # a batch of more than two epochs
    assert batch_rows(8, 0, n, n).tolist() != batch_rows(7, 0, n, n).tolist()


def test_rows_of_a_step_are_known_for_ever():
    """A change here would make every earlier training another one."""
    assert batch_rows(7, 0, 6, 10).tolist() == [8, 0, 7, 1, 3, 6]
    assert batch_rows(7, 1, 6, 10).tolist() == [2, 4, 5, 9, 9, 0]


def test_batches_are_the_crystals_of_their_rows(split):
    everything = padded(concatenated(split.shards), WIDTH)
    loader = Loader(split, WIDTH, 3, SIZE)
    with contextlib.closing(loader.batches(range(6))) as batches:
        for step, batch in enumerate(as_arrays(batches)):
            rows = batch_rows(3, step, SIZE, len(split))
            for name, array in batch.items():
                np.testing.assert_array_equal(array, everything[name][rows])


def test_continuing_at_a_step_gives_what_an_uninterrupted_run_got(split):
    loader = Loader(split, WIDTH, 3, SIZE)
    assert_same(as_arrays(loader.batches(range(4, 9))), as_arrays(loader.batches(range(9)))[4:])


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_processes_share_out_the_global_batches(split, count):
    alone = Loader(split, WIDTH, 3, SIZE)
    parts = [Loader(split, WIDTH, 3, SIZE, index, count) for index in range(count)]
    for step in range(7):
        shares = [each.rows(step) for each in parts]
        assert {len(share) for share in shares} == {SIZE // count}
        np.testing.assert_array_equal(np.concatenate(shares), alone.rows(step))
        seen = as_arrays(each.batch(step) for each in parts)
        together = {name: np.concatenate([part[name] for part in seen]) for name in seen[0]}
        assert_same([together], as_arrays([alone.batch(step)]))


def test_each_process_reads_only_its_part(split, monkeypatch):
    asked = []
    monkeypatch.setattr(
        EncodedSplit, "batch", lambda self, rows, width: asked.append(len(rows)) or padded(split.shards[0], width)
    )
    Loader(split, WIDTH, 3, SIZE, 1, 4).batch(0)
    assert asked == [2]


def test_batch_that_cannot_be_shared_out_is_one_line(split):
    with pytest.raises(UserError, match=r"batch_size 8 cannot be shared out among 3 processes"):
        Loader(split, WIDTH, 3, SIZE, 0, 3)


def test_batches_take_the_sharding_that_is_asked_for(split):
    mesh = jax.make_mesh((len(jax.devices()),), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("batch"))
    batch = Loader(split, WIDTH, 3, SIZE, sharding=sharding).batch(2)
    assert {array.sharding for array in batch.values()} == {sharding}
    assert_same(as_arrays([batch]), as_arrays([Loader(split, WIDTH, 3, SIZE).batch(2)]))


def names_of_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("loader")]


def test_a_few_values_are_made_ahead_and_no_more():
    made = []
    with contextlib.closing(read_ahead(made.append, range(100), ahead=3)) as values:
        next(values)
        deadline = time.monotonic() + 20
        while len(made) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert made == [0, 1, 2, 3]
    assert names_of_threads() == []


def test_an_error_is_raised_at_its_own_step():
    def make(step):
        if step == 3:
            raise OSError("disk gone")
        return step

    values = read_ahead(make, range(10))
    assert [next(values), next(values), next(values)] == [0, 1, 2]
    with pytest.raises(OSError, match="disk gone"):
        next(values)
    assert names_of_threads() == []


def test_no_steps_are_no_batches(split):
    assert list(Loader(split, WIDTH, 3, SIZE).batches(range(5, 5))) == []
