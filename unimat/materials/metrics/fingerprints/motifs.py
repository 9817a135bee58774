"""The motifs of matminer's CrystalNNFingerprint, preset "ops", by coordination number, in the order of its columns.

Parameters are those of matminer's `cn_motif_op_params.yaml` and, where that names none, pymatgen's `op_params.yaml`.
Angles are in units of pi unless they are limits, which are in radians.
"""

import functools

import numpy as np

from unimat.materials.metrics.fingerprints import order_parameters as op
from unimat.materials.metrics.fingerprints.order_parameters import Motif

MAX_COORDINATION = 24  # from 13 on only the weight of the coordination number is a column
_TETRAHEDRAL = 0.6081734479693927


def _bent(angle: float, sharpness: float) -> Motif:
    return Motif(op.bent, {"angle": angle, "sharpness": sharpness})


def _around_pole(angle: float, sharpness: float, fold: float) -> Motif:
    return Motif(op.around_pole, {"angle": angle, "sharpness": sharpness, "fold": fold})


def _with_south_pole(south: float, equator: float, fold: float, limit: float = 0.75 * np.pi, **more: float) -> Motif:
    settings = {"limit": limit, "south": south, "equator": equator, "fold": fold, **more}
    return Motif(op.with_south_pole, settings, (limit,), (more["azimuth"],) if "azimuth" in more else ())


def _body_centred(limit: float, south: float, weight: float) -> Motif:
    settings = {"limit": limit, "south": south, "weight": weight}
    return Motif(op.body_centred, settings, (limit,), uncertain=op.body_centred_uncertain)


def _cuboctahedron(limit: float, low: float, high: float, **sharpness: float) -> Motif:
    settings = {"limit": limit, "low": low, "high": high, **sharpness}
    return Motif(op.cuboctahedron, settings, (limit, low, high))


def _steinhardt() -> dict[str, Motif]:
    return {f"q{degree}": Motif(op.steinhardt, {"degree": degree}) for degree in (2, 4, 6)}


MOTIFS: dict[int, dict[str, Motif]] = {
    1: {"sgl_bd": Motif(op.single_bond)},
    2: {
        "L-shaped": _bent(0.5, 15.15),
        "water-like": _bent(0.5802777777777778, 13.95),
        "bent 120 degrees": _bent(0.666666666667, 13.25),
        "bent 150 degrees": _bent(0.833333333333333, 12.45),
        "linear": _bent(1.0, 8.667),
    },
    3: {
        "trigonal planar": _around_pole(0.66666666667, 17.5, 1.0),
        "trigonal non-coplanar": _around_pole(_TETRAHEDRAL, 18.33, 1.5),
        "T-shaped": _around_pole(0.5, 15.5, 1.0),
    },
    4: {
        "square co-planar": _with_south_pole(13.5, 17.7, 1.0),
        "tetrahedral": _around_pole(_TETRAHEDRAL, 18.5, 1.5),
        "rectangular see-saw-like": _with_south_pole(11.5, 27.0, 2.0, azimuth=0.75 * np.pi),
        "see-saw-like": _with_south_pole(12.75, 15.75, 1.5),
        "trigonal pyramidal": _around_pole(0.5, 15.5, 1.5),
    },
    5: {
        "pentagonal planar": Motif(op.pentagon, {"limit": 0.6, "sharpness": 19.333}),
        "square pyramidal": _around_pole(0.5, 14.9, 2.0),
        "trigonal bipyramidal": _with_south_pole(12.0, 16.6, 1.5),
    },
    6: {
        "hexagonal planar": _with_south_pole(7.5, 25.0, 1.0, limit=2.6179938779914944, offset=0.16666667),
        "octahedral": _with_south_pole(15.0, 18.0, 2.0),
        "pentagonal pyramidal": _around_pole(0.5, 13.8, 2.5),
    },
    7: {
        "hexagonal pyramidal": _around_pole(0.5, 12.5, 3.0),
        "pentagonal bipyramidal": _with_south_pole(12.5, 14.75, 2.5),
    },
    8: {
        "body-centered cubic": _body_centred(2.5261129449194057, south=15.0, weight=6.0),
        "hexagonal bipyramidal": _with_south_pole(14.1, 13.6, 3.0),
    },
    9: _steinhardt(),
    10: _steinhardt(),
    11: _steinhardt(),
    12: {
        "cuboctahedral": _cuboctahedron(
            2.792526803190927,
            1.3089969389957472,
            1.8325957145940461,
            south=28.75,
            weight=1.8,
            equator=25.5,
            thirds=31.25,
        ),
        **_steinhardt(),
    },
}


@functools.cache
def labels() -> tuple[str, ...]:
    """Names of the columns, as matminer's `feature_labels` gives them."""
    numbers = range(1, MAX_COORDINATION + 1)
    return tuple(f"{name} CN_{number}" for number in numbers for name in ("wt", *MOTIFS.get(number, ())))


@functools.cache
def first_columns() -> dict[int, int]:
    """Column of the weight of each coordination number; its motifs stand right of it."""
    return {number: labels().index(f"wt CN_{number}") for number in range(1, MAX_COORDINATION + 1)}
