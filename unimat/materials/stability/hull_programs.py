"""Mixtures of phases of lowest energy that have given compositions: points of the lower convex hull, many at a time.

E_hull(x) is the least sum of w_i e_i over mixtures w >= 0 whose composition is x: a linear program with one equation
for each element. The revised simplex method solves it from the mixture of the elements, which is always possible, in
ten steps or so, and all programs take their steps together. It ends with a certificate: prices of the elements (their
chemical potentials) which no phase undercuts. A convex hull (pymatgen's PhaseDiagram) finds all facets of a system, of
which a candidate needs one.
"""

import numpy as np
from scipy.optimize import linprog

TOLERANCE = 1e-10  # eV/atom, by which a phase must undercut the prices to enter the mixture
SMALLEST_SHARE = 1e-8  # of the atoms; PhaseDiagram.numerical_tol
_SMALLEST_PIVOT = 1e-9
_MOST_STEPS = 200  # degenerate programs may go in circles; HiGHS takes over then


def lowest_mixtures(fractions: np.ndarray, energies: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Phases of the cheapest mixture of each composition, and their shares of the atoms.

    Args:
        fractions: (c, m, n) atomic fractions of the phases that candidate c may decompose into; the first n are the
            elements, in order. Rows to fill up have fractions of 0 and an energy above 0.
        energies: (c, m) eV/atom; formation energies, so that those of the elements are 0.
        wanted: (c, n) atomic fractions of the candidates.

    Returns:
        (c, n) places along m, and (c, n) shares, 0 where the mixture has fewer phases than elements.
    """
    n = wanted.shape[1]
    phases, shares = np.tile(np.arange(n), (len(wanted), 1)), np.array(wanted, float)
    active = np.arange(len(wanted))
    for _ in range(_MOST_STEPS):
        if not len(active):
            break
        basis, each = phases[active], np.arange(len(active))[:, None]
        inverse = np.linalg.inv(fractions[each, basis])
        shares[active] = now = _times(wanted, inverse)
        prices = inverse @ energies[each, basis][..., None]
        gains = energies - (fractions @ prices)[..., 0]
        entering = gains.argmin(axis=1)
        better = gains[each[:, 0], entering] < -TOLERANCE
        direction = _times(fractions[each[:, 0], entering], inverse)
        ratios = np.full(direction.shape, np.inf)
        np.divide(np.maximum(now, 0.0), direction, out=ratios, where=direction > _SMALLEST_PIVOT)
        phases[active[better], ratios.argmin(axis=1)[better]] = entering[better]
        active, fractions, energies, wanted = (a[better] for a in (active, fractions, energies, wanted))
    for place, row in enumerate(active):
        phases[row], shares[row] = _by_highs(fractions[place], energies[place], wanted[place])
    shares[shares < SMALLEST_SHARE] = 0.0
    return phases, shares / shares.sum(axis=1, keepdims=True)


def _times(rows: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Row vector times matrix, (c, n) and (c, n, k)."""
    return (rows[:, None] @ matrices)[:, 0]


def _by_highs(fractions: np.ndarray, energies: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One program by scipy's HiGHS: its n largest shares."""
    solved = linprog(energies, A_eq=fractions.T, b_eq=wanted, method="highs-ds")
    largest = np.sort(np.argsort(-solved.x, kind="stable")[: len(wanted)])
    return largest, solved.x[largest]
