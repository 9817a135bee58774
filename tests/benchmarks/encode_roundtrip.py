"""Crystals laid over the periodic table and read back, against building pymatgen structures of them one by one.

The crystals are made up: one to four of 89 elements, up to 20 atoms at random places in a random cell. A pymatgen
`Structure` is what other encoders start from, so its construction alone is the time to beat.
"""

import argparse

import numpy as np
from harness import Figure, best_of, finish, peak_memory_mib, say

from unimat.crystal_table import Crystal, CrystalTable, from_crystals
from unimat.model.representation.encode_stream import Tally
from unimat.model.representation.encoded import EncodedCrystals, Encoding
from unimat.model.representation.encoding import chosen_grid, decode, encode_table
from unimat.model.settings import EncodeSettings

N_ELEMENTS, MAX_ATOMS = 89, 20  # as MP-20's
TARGET_SPEED_UP = 10.0
TARGET_DISPLACEMENT = 1e-5  # Å


def made_up_crystals(n: int, seed: int) -> list[Crystal]:
    """Crystals with lengths of 3 to 12 Å and angles between 60 and 120 degrees or so."""
    rng = np.random.default_rng(seed)
    crystals = []
    for index in range(n):
        species = rng.choice(N_ELEMENTS, size=rng.integers(1, 5), replace=False) + 1
        numbers = np.sort(rng.choice(species, size=rng.integers(1, MAX_ATOMS + 1)))
        lattice = np.diag(rng.uniform(3, 12, 3)) + rng.uniform(-1, 1, (3, 3))
        crystals.append(Crystal(f"made-up-{index}", lattice, numbers, rng.random((len(numbers), 3))))
    return crystals


def encoded(table: CrystalTable) -> tuple[EncodedCrystals, Encoding]:
    settings, tally = EncodeSettings(), Tally()
    grid = chosen_grid(settings)
    crystals, rejected = encode_table(table, grid)
    assert not rejected, rejected[0]
    tally.add("train", crystals, rejected)
    return crystals, tally.encoding(grid, settings)


def displacement(crystal: Crystal, back: Crystal) -> float:
    """Largest distance in Å that an atom has moved, origin and orientation of the cell aside."""
    order = np.lexsort((np.arange(len(back.atomic_numbers)), back.atomic_numbers))
    assert (back.atomic_numbers[order] == crystal.atomic_numbers).all()
    handed = np.sign(np.linalg.det(crystal.lattice))  # a left-handed cell comes back as (-a, -b, -c)
    moved = back.frac_coords[order] - handed * crystal.frac_coords
    moved -= np.round(moved)
    return float(np.linalg.norm(moved @ back.lattice, axis=1).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000, help="number of crystals (default: 10000)")
    parser.add_argument("--repeats", type=int, default=3, help="the shortest time counts (default: 3)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    say(f"making up {args.n} crystals")
    crystals = made_up_crystals(args.n, args.seed)
    table = from_crystals(crystals)
    say("encoding")
    encode_time, (compact, encoding) = best_of(lambda: encoded(table), args.repeats)
    say("decoding")
    rows = range(args.n)
    decode_time, back = best_of(lambda: [decode(encoding, compact, row) for row in rows], args.repeats)
    say("building pymatgen structures")
    from unimat.materials.crystals.structures import to_structure

    pymatgen_time, _ = best_of(lambda: [to_structure(crystal) for crystal in crystals], args.repeats)
    moved = max(displacement(*pair) for pair in zip(crystals, back, strict=True))
    rate = args.n / pymatgen_time
    finish(
        "encode_roundtrip",
        [
            Figure("encoded", args.n / encode_time, "crystals/s", TARGET_SPEED_UP * rate, rate, "higher"),
            Figure("decoded", args.n / decode_time, "crystals/s", rate, rate, "higher"),
            Figure("largest displacement of an atom", moved, "Å", TARGET_DISPLACEMENT),
            Figure("peak memory", peak_memory_mib(), "MiB"),
        ],
    )


if __name__ == "__main__":
    main()
