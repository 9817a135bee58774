"""Ball-and-stick pictures of crystals as small SVGs.

Parallel projection with c upright: atoms as shaded spheres, those on a face repeated on the opposite face, bonds
between atoms closer than 1.2 times the sum of their covalent radii, the unit cell outlined. Small cells are repeated so
that the bonding can be seen.
"""

import dataclasses
import itertools
from html import escape

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from markupsafe import Markup
from pymatgen.core import Element, Structure

SIZE = (240.0, 220.0)
MARGIN = 16.0
BALL = 0.42  # radius of a ball as a share of the covalent radius
BOND_TOLERANCE = 1.2
YAW, PITCH = np.radians(-24.0), np.radians(13.0)
FACE = 0.02  # fractional distance to a face below which an atom is repeated on the opposite one
SMALL_CELL = 6  # atoms up to which short axes are repeated
SHORT_AXIS = 3.6  # Å
EDGE_PIECES = 8  # an edge of the cell is cut so that atoms can hide parts of it


@dataclasses.dataclass(frozen=True)
class _Shape:
    """One drawn element: farther ones first."""

    depth: float
    markup: str


def crystal_picture(structure: Structure, name: str, label: str) -> Markup:
    """Picture of an ordered structure as an ``<svg>`` element.

    Args:
        name: prefix of the ids in it; unique in the page.
        label: what it shows, for those who cannot see it.
    """
    matrix = _upright(structure.lattice.matrix) @ _view().T
    repeats = drawn_repeats(structure)
    numbers, frac_coords = _with_faces(structure.make_supercell(repeats, in_place=False))
    atoms = frac_coords * repeats @ matrix
    corners = np.array(list(itertools.product((0, 1), repeat=3))) @ matrix
    radii = BALL * covalent_radii[numbers]
    screen = _Screen(np.vstack([atoms, corners]), radii.max())
    shapes = (
        _cell(corners, screen) + _bonds(numbers, atoms, radii, screen) + _balls(numbers, atoms, radii, screen, name)
    )
    drawn = "".join(shape.markup for shape in sorted(shapes, key=lambda shape: shape.depth))
    return Markup(
        f'<svg class="crystal" role="img" aria-label="{escape(label)}" viewBox="0 0 {SIZE[0]:g} {SIZE[1]:g}">'
        f"<defs>{_gradients(numbers, name)}</defs>{drawn}{_axes(corners, screen)}</svg>"
    )


def drawn_repeats(structure: Structure) -> tuple[int, int, int]:
    """How often the picture repeats the cell along a, b and c."""
    small = len(structure) <= SMALL_CELL
    a, b, c = (2 if small and length < SHORT_AXIS else 1 for length in structure.lattice.abc)
    return a, b, c


def element_colours(structure: Structure) -> list[tuple[str, str]]:
    """Symbol and colour of each element, by atomic number: the picture's legend."""
    numbers = sorted({int(site.specie.Z) for site in structure})
    return [(chemical_symbols[z], element_colour(z)) for z in numbers]


def element_colour(atomic_number: int) -> str:
    """Colour of an element as ``#rrggbb``, the same in every picture and view."""
    return _hex(_base(atomic_number))


class _Screen:
    """Å in the viewer's frame (x right, y up, z towards the viewer) to SVG units."""

    def __init__(self, points: np.ndarray, largest_radius: float):
        low, high = points[:, :2].min(0) - largest_radius, points[:, :2].max(0) + largest_radius
        room = np.array(SIZE) - 2 * MARGIN
        self.scale = float(min(*(room / (high - low)), 34.0))
        self._centre = (low + high) / 2

    def __call__(self, point: np.ndarray) -> tuple[float, float]:
        x, y = (point[:2] - self._centre) * self.scale
        return SIZE[0] / 2 + x, SIZE[1] / 2 - y


def _upright(matrix: np.ndarray) -> np.ndarray:
    """The lattice turned so that c points up (y) and a lies in the plane of the page as far as it can (Å)."""
    up = matrix[2] / np.linalg.norm(matrix[2])
    right = matrix[0] - (matrix[0] @ up) * up
    right /= np.linalg.norm(right)
    towards = np.cross(right, up)
    return matrix @ np.column_stack([right, up, towards])


def _view() -> np.ndarray:
    yaw = np.array([[np.cos(YAW), 0, np.sin(YAW)], [0, 1, 0], [-np.sin(YAW), 0, np.cos(YAW)]])
    pitch = np.array([[1, 0, 0], [0, np.cos(PITCH), -np.sin(PITCH)], [0, np.sin(PITCH), np.cos(PITCH)]])
    return pitch @ yaw


def _with_faces(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Atomic numbers and fractional coordinates in [0, 1], atoms on a face repeated on the opposite one."""
    wrapped = structure.frac_coords % 1.0
    wrapped[wrapped > 1 - FACE] -= 1.0
    numbers, coords = [], []
    for site, frac in zip(structure, wrapped, strict=True):
        choices = [(0, 1) if abs(value) < FACE else (0,) for value in frac]
        for shift in itertools.product(*choices):
            numbers.append(site.specie.Z)
            coords.append(frac + shift)
    return np.array(numbers), np.array(coords)


def _cell(corners: np.ndarray, screen: _Screen) -> list[_Shape]:
    shapes = []
    for i, j in itertools.combinations(range(8), 2):
        if (i ^ j).bit_count() != 1:
            continue
        points = np.linspace(corners[i], corners[j], EDGE_PIECES + 1)
        for start, end in itertools.pairwise(points):
            markup = f'<path class="cell" d="{_line(start, end, screen)}"/>'
            shapes.append(_Shape(float((start[2] + end[2]) / 2), markup))
    return shapes


def _bonds(numbers: np.ndarray, atoms: np.ndarray, radii: np.ndarray, screen: _Screen) -> list[_Shape]:
    """Each bond as two halves in the colours of its atoms, from the surface of the ball to the middle."""
    metal = np.array([Element.from_Z(int(z)).is_metal for z in numbers])
    mixed = metal.any() and not metal.all()
    width = max(2.0, 0.17 * screen.scale)
    shapes = []
    for i, j in itertools.combinations(range(len(atoms)), 2):
        distance = np.linalg.norm(atoms[i] - atoms[j])
        if distance > BOND_TOLERANCE * (covalent_radii[numbers[i]] + covalent_radii[numbers[j]]):
            continue
        if mixed and metal[i] and metal[j]:  # cations of an ionic crystal are near each other, not bonded
            continue
        middle = (atoms[i] + atoms[j]) / 2
        for one, other in ((i, j), (j, i)):
            start = atoms[one] + (atoms[other] - atoms[one]) / distance * 0.8 * radii[one]
            line = _line(start, middle, screen)
            markup = (
                f'<path class="bond" stroke-width="{width + 1.2:.1f}" d="{line}"/>'
                f'<path stroke="{_hex(_base(int(numbers[one])) * 0.88)}" stroke-width="{width:.1f}" d="{line}"/>'
            )
            shapes.append(_Shape(float((start[2] + middle[2]) / 2), markup))
    return shapes


def _balls(numbers: np.ndarray, atoms: np.ndarray, radii: np.ndarray, screen: _Screen, name: str) -> list[_Shape]:
    shapes = []
    for z, atom, radius in zip(numbers, atoms, radii, strict=True):
        x, y = screen(atom)
        markup = (
            f'<circle class="atom" cx="{x:.1f}" cy="{y:.1f}" r="{radius * screen.scale:.1f}" '
            f'fill="url(#{name}-{chemical_symbols[z]})"/>'
        )
        shapes.append(_Shape(float(atom[2]), markup))
    return shapes


def _axes(corners: np.ndarray, screen: _Screen) -> str:
    """Letters at the ends of the cell's three edges from the origin."""
    origin = corners[0]
    centre = corners.mean(0)
    labels = []
    for letter, end in (("a", corners[4]), ("b", corners[2]), ("c", corners[1])):
        middle = (origin + end) / 2
        outward = (middle - centre)[:2]
        outward = outward / (np.linalg.norm(outward) or 1.0)
        x, y = screen(middle)
        labels.append(
            f'<text class="axis" x="{x + 9 * outward[0]:.1f}" y="{y - 9 * outward[1] + 3:.1f}">{letter}</text>'
        )
    return "".join(labels)


def _gradients(numbers: np.ndarray, name: str) -> str:
    parts = []
    for z in sorted({int(z) for z in numbers}):
        base = _base(z)
        parts.append(
            f'<radialGradient id="{name}-{chemical_symbols[z]}" cx=".36" cy=".32" r=".75">'
            f'<stop offset="0" stop-color="{_hex(base + (1 - base) * 0.75)}"/>'
            f'<stop offset=".45" stop-color="{_hex(base)}"/>'
            f'<stop offset="1" stop-color="{_hex(base * 0.62)}"/></radialGradient>'
        )
    return "".join(parts)


def _base(atomic_number: int) -> np.ndarray:
    """Jmol's colour of an element, RGB in [0, 1]; carbon darker, to stand apart from silicon."""
    if atomic_number == 6:
        return np.array([0.33, 0.35, 0.38])
    return np.asarray(jmol_colors[min(atomic_number, len(jmol_colors) - 1)])  # Jmol's colours end with meitnerium


def _hex(rgb: np.ndarray) -> str:
    return "#" + "".join(f"{round(255 * min(1.0, max(0.0, float(value)))):02x}" for value in rgb)


def _line(start: np.ndarray, end: np.ndarray, screen: _Screen) -> str:
    (x1, y1), (x2, y2) = screen(start), screen(end)
    return f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
