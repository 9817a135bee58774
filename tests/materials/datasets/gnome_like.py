"""Files in the format of GNoME's, of any size: made-up crystals that are structurally valid.

python -m tests.materials.datasets.gnome_like FOLDER N
"""

import argparse
import itertools
import math
import random
import zipfile
from pathlib import Path

import numpy as np
from pymatgen.core import Element

# The header of stable_materials_summary.csv, in its order.
HEADER = (
    "Composition,MaterialId,Reduced Formula,Elements,NSites,Volume,Density,Point Group,Space Group,Corrected Energy,"
    "Formation Energy Per Atom,Decomposition Energy Per Atom,Dimensionality Cheon,Bandgap,Is Train,"
    "Decomposition Energy Per Atom All,Decomposition Energy Per Atom Relative,Decomposition Energy Per Atom MP,"
    "Decomposition Energy Per Atom MP OQMD,Chemical System,Space Group Number"
)
COLUMNS = HEADER.split(",")
LAYOUTS = ("by_id", "by_reduced_formula", "by_composition")
MAX_ATOMS = 40
PACKING = 0.8  # of the sum of two radii; some 27 Å^3 per atom, as in GNoME
_BLOCK = 1000  # structures are written in another order than rows, within blocks
_F = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]  # face centring


def _face_centred(*at):
    return [tuple((f + x) % 1 for f, x in zip(face, site, strict=True)) for site in at for face in _F]


def _permuted(site, n):
    return (*site[n:], *site[:n])


def _tetrahedron(x, y):
    return [(x, x, x), (x, x, y), (x, y, x), (y, x, x)]


# Cell (a, b, c in units of the scale; alpha, beta, gamma) and the sites of each species.
_BODY, _UPPER = [(0, 0, 0), (0.5, 0.5, 0.5)], [(0.5, 0.5, 0.87), (0.5, 0.5, 0.13)]
_CUBIC, _HEXAGONAL, _LONG = (1, 1, 1, 90, 90, 90), (1, 1, 1.62, 90, 90, 120), (1, 1, 2.2, 90, 90, 120)
PROTOTYPES = {
    "CsCl": (_CUBIC, [[(0, 0, 0)], [(0.5, 0.5, 0.5)]]),
    "Cu3Au": (_CUBIC, [[_F[0]], _F[1:]]),
    "perovskite": (_CUBIC, [[(0, 0, 0)], [(0.5, 0.5, 0.5)], [(0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]]),
    "rock salt": (_CUBIC, [_F, _face_centred((0.5, 0, 0))]),
    "zincblende": (_CUBIC, [_F, _face_centred((0.25, 0.25, 0.25))]),
    "fluorite": (_CUBIC, [_F, _face_centred((0.25, 0.25, 0.25), (0.75, 0.75, 0.75))]),
    "half-Heusler": (_CUBIC, [_F, _face_centred((0.25, 0.25, 0.25)), _face_centred((0.5, 0, 0))]),
    "Heusler": (_CUBIC, [_F, _face_centred((0.25, 0.25, 0.25), (0.75, 0.75, 0.75)), _face_centred((0.5, 0.5, 0.5))]),
    "A15": (_CUBIC, [_BODY, [_permuted((x, 0, 0.5), n) for x in (0.25, 0.75) for n in range(3)]]),
    "ThCr2Si2": (
        (1, 1, 2.5, 90, 90, 90),
        [_BODY, [(x, 0.5 - x, z) for x in (0, 0.5) for z in (0.25, 0.75)], [(0, 0, 0.37), (0, 0, 0.63), *_UPPER]],
    ),
    "wurtzite": (_HEXAGONAL, [[(1 / 3, 2 / 3, z), (2 / 3, 1 / 3, z + 0.5)] for z in (0, 0.375)]),
    "layered CdI2": (_HEXAGONAL, [[(0, 0, 0)], [(1 / 3, 2 / 3, 0.25), (2 / 3, 1 / 3, 0.75)]]),
    "layered KCrS2": (_LONG, [[(0, 0, 0.5)], [(0, 0, 0)], [(1 / 3, 2 / 3, 0.17), (2 / 3, 1 / 3, 0.83)]]),
    "spinel": (
        (1, 1, 1, 60, 60, 60),  # primitive cell
        [
            [(1 / 8,) * 3, (7 / 8,) * 3],
            _tetrahedron(0.5, 0),
            _tetrahedron(0.2625, 0.7125) + _tetrahedron(0.7375, 0.2875),
        ],
    ),
}
_WITHOUT = {"He", "Ne", "Ar", "Kr", "Xe", "Po", "At", "Rn", "Fr"}
ELEMENTS = [element for element in map(Element.from_Z, range(1, 95)) if element.symbol not in _WITHOUT]
RADII = {each.symbol: max(float(each.atomic_radius or 1.5), 0.95) for each in ELEMENTS}  # Å
MASSES = {each.symbol: float(each.atomic_mass) for each in ELEMENTS}  # u
# Formulas are written by electronegativity.
ORDER = {each.symbol: (each.X if each.X == each.X else 9.0, each.symbol) for each in ELEMENTS}
SYMBOLS = sorted(RADII)


class Template:
    """A supercell of a prototype: its cell, its sites (species, x, y, z) and the distances between species."""

    def __init__(self, cell, species, repeats):
        self.lengths = [length * n for length, n in zip(cell[:3], repeats, strict=True)]
        self.angles, self.n_species = cell[3:], len(species)
        self.sites = [
            (label, *((x + shift) / n for x, shift, n in zip(site, shifts, repeats, strict=True)))
            for label, sites in enumerate(species)
            for site in sites
            for shifts in itertools.product(*map(range, repeats))
        ]
        self.counts = [sum(site[0] == label for site in self.sites) for label in range(self.n_species)]
        self.distances = self._distances()

    def _distances(self):
        """Shortest distance between atoms of each pair of species, in units of the scale."""
        matrix = cell_matrix(self.lengths, self.angles)
        labels = np.array([site[0] for site in self.sites])
        coords = np.array([site[1:] for site in self.sites])
        images = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
        between = coords[:, None, None] - coords[None, :, None] + images
        distances = np.linalg.norm(between @ matrix, axis=-1)
        distances[distances < 1e-9] = np.inf
        nearest = distances.min(-1)
        return {
            (one, two): nearest[np.ix_(labels == one, labels == two)].min()
            for one, two in itertools.combinations_with_replacement(range(self.n_species), 2)
        }


def cell_matrix(lengths, angles):
    cosines, sine = [math.cos(math.radians(angle)) for angle in angles], math.sin(math.radians(angles[2]))
    y = (cosines[0] - cosines[1] * cosines[2]) / sine
    c = (cosines[1], y, math.sqrt(1 - cosines[1] ** 2 - y**2))
    rows = [(1, 0, 0), (cosines[2], sine, 0), c]
    return np.array([[length * x for x in row] for length, row in zip(lengths, rows, strict=True)])


def _templates():
    repeats = [each for each in itertools.product((1, 2, 3), repeat=3) if math.prod(each) <= 8]
    return [
        Template(cell, species, n)
        for cell, species in PROTOTYPES.values()
        for n in repeats
        if 2 <= math.prod(n) * sum(map(len, species)) <= MAX_ATOMS
    ]


class Generator:
    """Draws crystals of distinct reduced compositions."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.templates = _templates()
        # GNoME's cells hold 20 atoms in the mean.
        sizes = [len(each.sites) for each in self.templates]
        common = {size: sizes.count(size) for size in sizes}
        self.weights = list(itertools.accumulate((math.exp(-(((n - 24) / 12) ** 2)) + 0.02) / common[n] for n in sizes))
        self.seen = set()

    def crystal(self):
        """Formulas, elements and CIF of one crystal."""
        while True:
            template = self.random.choices(self.templates, cum_weights=self.weights)[0]
            symbols, radii = self._occupation(template)
            counts = {}
            for symbol in symbols:
                counts[symbol] = counts.get(symbol, 0) + 1
            divisor = math.gcd(*counts.values())
            formula = reduced_formula({symbol: n // divisor for symbol, n in counts.items()})
            if hash(formula) not in self.seen:
                self.seen.add(hash(formula))
                return self._written(template, symbols, radii, counts, formula, divisor)

    def _occupation(self, template):
        """Element of each site, and the largest radius on each sublattice; some sublattices hold two elements."""
        drawn = self.random.sample(SYMBOLS, 2 * template.n_species)
        pairs = list(zip(drawn[::2], drawn[1::2], strict=True))
        shared = [self.random.randrange(1, n) if n > 1 and self.random.random() < 0.4 else 0 for n in template.counts]
        symbols, left = [], list(shared)
        for label, *_ in template.sites:
            symbols.append(pairs[label][1] if left[label] > 0 else pairs[label][0])
            left[label] -= 1
        radii = [max(RADII[one], RADII[two] if n else 0.0) for (one, two), n in zip(pairs, shared, strict=True)]
        return symbols, radii

    def _written(self, template, symbols, radii, counts, formula, divisor):
        uniform = self.random.uniform
        scale = PACKING * max((radii[i] + radii[j]) / distance for (i, j), distance in template.distances.items())
        lengths = [scale * length * uniform(1.0, 1.05) for length in template.lengths]
        angles = [angle + uniform(-1, 1) for angle in template.angles]
        a, b, g = (math.cos(math.radians(angle)) for angle in angles)
        volume = math.prod(lengths) * math.sqrt(1 - a * a - b * b - g * g + 2 * a * b * g)
        jitter = [0.02 / length for length in lengths]
        atoms = "".join(
            f"  {symbol}  {symbol}{index}  1  {x + uniform(0, jitter[0]):.8f}  {y + uniform(0, jitter[1]):.8f}"
            f"  {z + uniform(0, jitter[2]):.8f}  1\n"
            for index, (symbol, (_, x, y, z)) in enumerate(zip(symbols, template.sites, strict=True))
        )
        total = " ".join(f"{symbol}{counts[symbol]}" for symbol in sorted(counts, key=ORDER.__getitem__))
        text = CIF.format(formula, *lengths, *angles, formula, total, volume, divisor, atoms)
        return counts, formula, volume, text


# As pymatgen's CifWriter writes a structure without looking for symmetry.
CIF = """# generated using pymatgen
data_{}
_symmetry_space_group_name_H-M   'P 1'
_cell_length_a   {:.8f}
_cell_length_b   {:.8f}
_cell_length_c   {:.8f}
_cell_angle_alpha   {:.8f}
_cell_angle_beta   {:.8f}
_cell_angle_gamma   {:.8f}
_symmetry_Int_Tables_number   1
_chemical_formula_structural   {}
_chemical_formula_sum   '{}'
_cell_volume   {:.8f}
_cell_formula_units_Z   {}
loop_
 _symmetry_equiv_pos_site_id
 _symmetry_equiv_pos_as_xyz
  1  'x, y, z'
loop_
 _atom_site_type_symbol
 _atom_site_label
 _atom_site_symmetry_multiplicity
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
{}"""


def reduced_formula(counts):
    """Formula of coprime `counts`, by electronegativity; the last two elements in brackets if they share a factor."""
    symbols = sorted(counts, key=ORDER.__getitem__)
    factor = math.gcd(counts[symbols[-1]], counts[symbols[-2]]) if len(symbols) > 2 else 1
    if factor == 1:
        return "".join(_term(symbol, counts[symbol]) for symbol in symbols)
    first = "".join(_term(symbol, counts[symbol]) for symbol in symbols[:-2])
    last = "".join(_term(symbol, counts[symbol] // factor) for symbol in symbols[-2:])
    return f"{first}({last}){factor}"


def _term(symbol, n):
    return symbol if n == 1 else f"{symbol}{n}"


def material_id(index, seed):
    """Ten hexadecimal digits, different for each index."""
    return f"{(index * 0x9E3779B97F + seed * 0x3C6EF372FB + 0x1234567) % 2**40:010x}"  # an odd factor


def write_gnome_like(folder, n, seed=0, layout="by_id", missing=0, surplus=0):
    """Write stable_materials_summary.csv of `n` rows and `<layout>.zip` into `folder`, and return the folder.

    Args:
        missing: rows without a structure.
        surplus: structures without a row, beyond the others.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    generator = Generator(seed)
    order = random.Random(seed + 1)
    without = set(order.sample(range(n), missing))
    block = []
    with (
        (folder / "stable_materials_summary.csv").open("w", newline="", encoding="utf-8") as table,
        zipfile.ZipFile(folder / f"{layout}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        table.write(f"{HEADER}\n")
        for index in range(n + surplus):
            counts, formula, volume, text = generator.crystal()
            composition = "".join(f"{symbol}{counts[symbol]}" for symbol in sorted(counts))
            row_id = material_id(index, seed)
            if index < n:
                table.write(_row(order, row_id, composition, formula, counts, volume))
            if index not in without:
                name = {"by_id": row_id, "by_reduced_formula": formula, "by_composition": composition}[layout]
                block.append((f"{layout}/{name}.CIF", text))
            if len(block) == _BLOCK:
                _write(archive, block, order)
        _write(archive, block, order)
    return folder


def _write(archive, block, order):
    order.shuffle(block)
    for name, text in block:
        archive.writestr(name, text)
    block.clear()


def _row(order, row_id, composition, formula, counts, volume):
    n_sites = sum(counts.values())
    density = sum(MASSES[symbol] * n for symbol, n in counts.items()) / volume * 1.66053907
    formation = min(order.gauss(-0.6, 0.4), -0.01)
    decomposition = -order.expovariate(20)
    gap = order.random()
    band_gap = "inf" if gap < 0.01 else "" if gap < 0.6 else f"{order.expovariate(2):.4f}"
    relative = f"{order.uniform(-0.02, 0):.4f}" if order.random() < 0.5 else ""
    elements = sorted(counts, key=ORDER.__getitem__, reverse=True)
    return (
        f'{composition},{row_id},{formula},"{elements}",{n_sites},{volume:.4f},{density:.4f},1,P1,'
        f"{n_sites * (formation - 4.5):.4f},{formation:.4f},{decomposition:.4f},3D,{band_gap},{order.random() < 0.9},"
        f"0.0,{relative},{decomposition:.4f},{decomposition / 2:.4f},,1\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("n", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layout", choices=LAYOUTS, default="by_id")
    parser.add_argument("--missing", type=int, default=0)
    parser.add_argument("--surplus", type=int, default=0)
    write_gnome_like(**vars(parser.parse_args()))
