"""What docs/compact.md says of Perov-5: most of its compositions stand for two crystals."""

import collections
import json
import random
import zipfile

import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition, Structure


@pytest.fixture
def by_composition(published_data):
    """(split, POSCAR) of the crystals of each composition, from the file of structures that holds all three splits."""
    with zipfile.ZipFile(published_data / "perov_5/perov5_heat_ref.json.zip") as archive:
        splits = json.loads(archive.read("perov5_heat_ref.json"))
    found = collections.defaultdict(list)
    for split, crystals in splits.items():
        for text in crystals.values():
            lines = text.split("\\n")
            composition = Composition(dict(zip(lines[5].split(), map(int, lines[6].split()), strict=True)))
            found[composition.formula].append((split, "\n".join(lines)))
    return found


@pytest.mark.published
def test_compositions_stand_for_one_crystal_or_two(by_composition):
    assert collections.Counter(map(len, by_composition.values())) == {2: 9282, 1: 364}
    alone = sum(1 for (split, _), *rest in by_composition.values() if split == "test" and not rest)
    partners = collections.Counter(
        other
        for crystals in by_composition.values()
        if len(crystals) == 2
        for (split, _), (other, _) in (crystals, crystals[::-1])
        if split == "test"
    )
    assert (alone, partners) == (84, {"train": 2214, "test": 752, "val": 735})


@pytest.mark.published
def test_the_two_seldom_match(by_composition):
    pairs = [crystals for crystals in by_composition.values() if len(crystals) == 2]
    matcher = StructureMatcher(stol=0.5, ltol=0.3, angle_tol=10)
    drawn = [
        [Structure.from_str(text, fmt="poscar") for _, text in pair] for pair in random.Random(0).sample(pairs, 100)
    ]
    matched = [distance[0] for pair in drawn if (distance := matcher.get_rms_dist(*pair))]
    assert len(matched) < 10
    assert min(matched) > 0.4
