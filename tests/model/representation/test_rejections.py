"""What encoding leaves out of a dataset is told, and refused where it is most of it."""

import logging

import numpy as np
import pytest

from unimat import crystal_table
from unimat.errors import UserError
from unimat.model.representation.encode_stream import encode_dataset
from unimat.model.representation.rejections import most_of_an_element
from unimat.model.settings import EncodeSettings
from unimat.model.training.train import refuse_larger_batch


def table_of(*counts: dict[int, int]) -> crystal_table.CrystalTable:
    """One crystal for each mapping of atomic number to atoms, atoms on a line."""
    crystals = []
    for index, each in enumerate(counts):
        numbers = np.repeat(list(each), list(each.values()))
        coords = np.stack([np.arange(len(numbers)) / len(numbers), *np.zeros((2, len(numbers)))], axis=1)
        crystals.append(crystal_table.Crystal(f"c-{index}", 9 * np.eye(3), numbers, coords))
    return crystal_table.from_crystals(crystals)


def encode(tmp_path, *counts, **settings):
    train = table_of(*counts)
    return encode_dataset(
        {"train": [train], "val": [train], "test": [train]}, EncodeSettings(**settings), tmp_path / "e"
    )


# 13 of 100 crystals have 4 atoms of oxygen or fewer, 87 have 12: what `slots: 4` does to many a dataset.
FEW_FIT = [{8: 4}] * 13 + [{8: 12}] * 86 + [{8: 40}]


def test_slots_that_reject_most_stop_before_the_training_and_say_how_many_would_do(tmp_path):
    with pytest.raises(UserError) as caught:
        encode(tmp_path, *FEW_FIT, slots=4)
    assert str(caught.value) == (
        "encode: this leaves 13% of the train split: 87 of 100 crystals of the train split are rejected (87%): 87"
        " too_many_of_element; encode.slots is 4, and 12 would hold 99% of them; if that is meant, set"
        " encode.max_rejected to 0.87"
    )
    assert not (tmp_path / "e/encoding.json").exists()


def test_what_is_meant_is_done_with_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "unimat.encode"):
        assert encode(tmp_path, *FEW_FIT, slots=4, max_rejected=0.87).n["train"] == 13
        assert encode(tmp_path, *FEW_FIT, slots=12).n["train"] == 99
    first, second = caplog.messages
    assert first.startswith("87 of 100 crystals of the train split are rejected (87%): 87 too_many_of_element")
    assert second.startswith("1 of 100 crystals of the train split are rejected (1%): 1 too_many_of_element")


def test_nothing_is_said_where_nothing_is_rejected(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        encode(tmp_path, *FEW_FIT)
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"elements": ("Si",)}, "name more elements (encode.elements, rows, columns), or if that is meant"),
        ({"max_atoms": 3}, "encode.max_atoms is 3; raise it, or if that is meant"),
    ],
)
def test_the_advice_is_about_the_commonest_reason(tmp_path, settings, advice):
    with pytest.raises(UserError) as caught:
        encode(tmp_path, *[{8: 4}] * 9, {14: 2}, **settings)
    assert advice in str(caught.value)
    assert "this leaves 10% of the train split" in str(caught.value)


def test_atoms_of_the_most_frequent_element_by_hand():
    assert most_of_an_element(table_of({8: 4, 14: 2}, {1: 1}, {6: 3, 7: 3})).tolist() == [4, 1, 3]


@pytest.mark.parametrize(("n", "advice"), [(180, "such as 32"), (3, "such as 1"), (511, "such as 64")])
def test_a_batch_larger_than_the_dataset_is_refused_with_the_number(n, advice):
    with pytest.raises(UserError) as caught:
        refuse_larger_batch(512, n)
    assert str(caught.value).startswith(f"train.batch_size is 512 crystals, and the training split has {n}; give a")
    assert str(caught.value).endswith(advice)
    refuse_larger_batch(n, n)
