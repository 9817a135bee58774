"""Pictures of a run as SVG files of their own: the loss, and samples beside crystals of the test split."""

import dataclasses
import re
from collections.abc import Sequence
from html import escape

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from unimat.crystal_table import CrystalTable
from unimat.materials.crystals.compositions import reduced_composition_keys
from unimat.materials.crystals.structures import to_structure
from unimat.report.crystals import SIZE, crystal_picture
from unimat.report.figures import loss_figure
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.svg import COLOURS, figure_file

ACROSS = 4  # pairs in a row
HEADING, CAPTION = 20.0, 30.0
STYLE = (
    f"text{{font:11px Helvetica,Arial,sans-serif;fill:{COLOURS['ink']}}} .cell{{stroke:{COLOURS['muted']};"
    "stroke-width:.9;fill:none} .bond{stroke:#3b4452;fill:none} .atom{stroke:#3b4452;stroke-width:.6} "
    f".axis{{font:italic 10px Georgia,serif;fill:{COLOURS['muted']};text-anchor:middle}}"
)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A crystal of the test split and a sample, with what is said of the two below them."""

    truth: Structure | None
    sample: Structure
    formula: str
    said: str


def loss_picture(run: RunFiles) -> str:
    """SVG of training and validation loss against the step."""
    figure = None if run.history is None else loss_figure(run.history)
    return _words("The history of this training names no loss.") if figure is None else figure_file(figure)


def crystals_picture(run: RunFiles, one: SetFiles, n: int, seed: int) -> str:
    """SVG of `n` samples, drawn by lot and not chosen, each below the test crystal that it stands for.

    Samples of a prediction stand below the crystal that they should have been. Without one, samples of the set `one`
    that have the composition of a test crystal stand below such a crystal, as in Figure 3 of the paper; where there is
    no such sample, any are drawn.
    """
    rng = np.random.default_rng(seed)
    predicted = next((each for each in run.sets.values() if each.prediction_pairs is not None), None)
    pairs = _predicted(run, predicted, n, rng) if predicted else _of_one_composition(run, one, n, rng)
    if not pairs:
        return _words("There is no sample to draw.")
    rows = [pairs[at : at + ACROSS] for at in range(0, len(pairs), ACROSS)]
    height = HEADING * 2 + 2 * SIZE[1] + CAPTION
    body = "".join(_row(row, index * ACROSS, index * height) for index, row in enumerate(rows))
    return _svg(body, SIZE[0] * min(ACROSS, len(pairs)), height * len(rows))


def _predicted(run: RunFiles, one: SetFiles, n: int, rng: np.random.Generator) -> list[Pair]:
    assert one.prediction_pairs is not None
    rows = one.prediction_pairs[one.prediction_pairs["material_id"].notna()]
    rows = rows[rows["sample"] == 0]
    samples, truths = _Structures(one.crystals, rows["material_id"]), _Structures(run.test, rows["truth_id"])
    pairs: list[Pair] = []
    for index in rng.permutation(len(rows)):
        row = rows.iloc[int(index)]
        sample, truth = samples(row["material_id"]), truths(row["truth_id"])
        if len(pairs) == n or sample is None or truth is None:
            continue
        said = f"matched, RMSE {row['rmse']:.3f}" if row["matched"] else "no match"
        pairs.append(Pair(truth, placed_like(truth, sample), truth.composition.reduced_formula, said))
    return pairs


def placed_like(truth: Structure, sample: Structure) -> Structure:
    """The sample in the axes and at the origin in which it is most like the truth, so that eyes can compare them.

    Without a match, one atom of the rarest element of both lies where it does in the truth. No distance changes.
    """
    matcher = StructureMatcher(stol=0.5, ltol=0.3, angle_tol=10, primitive_cell=False)
    if (matched := matcher.get_s2_like_s1(truth, sample)) is not None:
        return matched
    amounts = truth.composition.get_el_amt_dict()
    common = [name for name in sorted(amounts, key=amounts.__getitem__) if name in sample.composition]
    moved = sample.copy()
    if common:
        to, at = (each.frac_coords[each.indices_from_symbol(common[0])[0]] for each in (truth, sample))
        moved.translate_sites(range(len(moved)), to - at, frac_coords=True)
    return moved


def _of_one_composition(run: RunFiles, one: SetFiles, n: int, rng: np.random.Generator) -> list[Pair]:
    if one.crystals is None or run.test is None:
        return []
    ours, theirs = reduced_composition_keys(one.crystals), reduced_composition_keys(run.test)
    order = rng.permutation(len(one.crystals))
    shared = [index for index in order if (theirs == ours[index]).any()]
    pairs = []
    for index in (shared or list(order))[:n]:
        same = np.flatnonzero(theirs == ours[index])
        truth = to_structure(run.test[int(rng.choice(same))]) if len(same) else None
        sample = to_structure(one.crystals[int(index)])
        said = "below one of its composition" if len(same) else "no test crystal of its composition"
        pairs.append(Pair(truth, sample, sample.composition.reduced_formula, said))
    return pairs


class _Structures:
    """Structures of a table by id; None for an id that it does not have."""

    def __init__(self, table: CrystalTable | None, ids: Sequence[str]):
        wanted = set(ids)
        self._table = table
        self._rows = {name: row for row, name in enumerate(table.material_ids) if name in wanted} if table else {}

    def __call__(self, name: str) -> Structure | None:
        return to_structure(self._table[self._rows[name]]) if self._table and name in self._rows else None


def _row(pairs: Sequence[Pair], first: int, top: float) -> str:
    words = (("test split", top + HEADING - 6), ("sample", top + 2 * HEADING + SIZE[1] - 6))
    parts = [f'<text x="6" y="{y:g}" font-weight="bold">{text}</text>' for text, y in words]
    for column, pair in enumerate(pairs):
        x, name = column * SIZE[0], f"p{first + column}"
        if pair.truth is not None:
            parts.append(_placed(crystal_picture(pair.truth, f"{name}t", pair.formula), x, top + HEADING))
        parts.append(_placed(crystal_picture(pair.sample, f"{name}s", pair.formula), x, top + 2 * HEADING + SIZE[1]))
        y = top + 2 * HEADING + 2 * SIZE[1] + 12
        parts.append(f'<text x="{x + SIZE[0] / 2:g}" y="{y:g}" text-anchor="middle">{escape(pair.formula)}')
        parts.append(f'<tspan x="{x + SIZE[0] / 2:g}" dy="13">{escape(pair.said)}</tspan></text>')
    return "".join(parts)


def _placed(picture: str, x: float, y: float) -> str:
    """A picture of its own as a part of a larger one."""
    return re.sub("^<svg", f'<svg x="{x:g}" y="{y:g}" width="{SIZE[0]:g}" height="{SIZE[1]:g}"', str(picture))


def _words(text: str) -> str:
    return _svg(f'<text x="6" y="20">{escape(text)}</text>', 480, 32)


def _svg(body: str, width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}"><style>{STYLE}</style><rect width="100%" height="100%" fill="white"/>{body}</svg>\n'
    )
