"""Choosing rows, and joining the tables of shards."""

import numpy as np
import pytest

from unimat.crystal_table import Crystal, from_crystals
from unimat.errors import UserError
from unimat.materials.relax.gather import gather_shards, relaxation_summary
from unimat.materials.screening.select import lowest_per_composition, take_rows


def table_of(rows):
    """Table of (id, atomic numbers, properties) rows."""
    return from_crystals(
        Crystal(
            name, np.eye(3) * 4, np.array(numbers), np.linspace(0, 0.9, 3 * len(numbers)).reshape(-1, 3), properties
        )
        for name, numbers, properties in rows
    )


ENERGIES = table_of(
    [
        ("a", [6, 6], {"energy_per_atom": -1.0}),
        ("b", [14, 6], {"energy_per_atom": None}),
        ("c", [6], {"energy_per_atom": -2.0}),
        ("d", [6, 14, 14, 6], {"energy_per_atom": -5.0}),
        ("e", [6, 6, 6], {"energy_per_atom": -2.0}),
        ("f", [14, 14, 6], {"energy_per_atom": None}),
    ]
)


def test_the_lowest_of_each_reduced_formula_stay_in_order():
    assert lowest_per_composition(ENERGIES, 1, "energy_per_atom").material_ids == ["c", "d", "f"]
    assert lowest_per_composition(ENERGIES, 2, "energy_per_atom").material_ids == ["b", "c", "d", "e", "f"]
    assert lowest_per_composition(ENERGIES, 9, "energy_per_atom").material_ids == ENERGIES.material_ids


def test_rows_without_values_rank_last_but_count():
    nothing = ENERGIES.with_column("energy_per_atom", [None] * len(ENERGIES))
    assert lowest_per_composition(nothing, 1, "energy_per_atom").material_ids == ["a", "b", "f"]


def test_ranking_by_what_is_no_number_is_told():
    with pytest.raises(UserError, match="no column 'energy'; its property columns: energy_per_atom"):
        lowest_per_composition(ENERGIES, 1, "energy")
    words = ENERGIES.with_column("note", list("uvwxyz"))
    with pytest.raises(UserError, match="column 'note' holds no numbers to rank by"):
        lowest_per_composition(words, 1, "note")


def test_a_draw_is_of_its_seed_without_replacement_and_in_order():
    table = table_of([(f"{index:03d}", [6], {}) for index in range(100)])
    drawn = take_rows(table, 30, seed=1)
    assert len(set(drawn.material_ids)) == 30
    assert drawn.material_ids == sorted(drawn.material_ids)
    assert drawn.material_ids == take_rows(table, 30, seed=1).material_ids
    assert drawn.material_ids != take_rows(table, 30, seed=2).material_ids
    assert take_rows(table, 1000).material_ids == table.material_ids
    # A larger draw of one seed holds the smaller.
    assert set(drawn.material_ids) < set(take_rows(table, 40, seed=1).material_ids)


def relaxed(*rows):
    names = ("converged", "n_steps", "failure")
    return table_of([(name, [6], dict(zip(names, values, strict=True))) for name, *values in rows])


SHARDS = [
    relaxed(("a", True, 10, None), ("c", False, 300, None)),
    relaxed(("b", False, None, "not_an_element: argon"), ("d", True, 20, None)),
]


def test_shards_are_joined_in_the_sets_order():
    like = table_of([(name, [6], {}) for name in "dcba"])
    assert gather_shards(SHARDS, like).material_ids == list("dcba")


def test_missing_foreign_and_repeated_rows_are_named():
    with pytest.raises(UserError, match=r"2 crystals \(x, y\) are in no shard"):
        gather_shards(SHARDS, table_of([(name, [6], {}) for name in "axby"]))
    with pytest.raises(UserError, match=r"1 crystals \(d\) are in a shard but not in the set"):
        gather_shards(SHARDS, table_of([(name, [6], {}) for name in "abc"]))
    with pytest.raises(UserError, match="'a' occurs twice"):
        gather_shards([SHARDS[0], SHARDS[0]], table_of([("a", [6], {})]))


def test_summary_counts_every_row():
    table = gather_shards(SHARDS, table_of([(name, [6], {}) for name in "abcd"]))
    assert relaxation_summary(table.with_metadata(relax={"engine": "chgnet"}), "mine") == {
        "set": "mine",
        "n": 4,
        "converged": {"count": 2, "of": 4, "rate": 0.5},
        "unconverged": 1,
        "failed": 1,
        "failures": {"not_an_element": 1},
        "mended": {"crystals": 0, "of": 4, "errors": {}},
        "engine": "chgnet",
        "median_steps": 20.0,
    }


def test_summary_of_what_was_not_relaxed_is_told():
    with pytest.raises(UserError, match="no column 'converged'"):
        relaxation_summary(ENERGIES, "mine")
