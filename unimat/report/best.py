"""The lowest-lying distinct crystals of a set, with what is known about each."""

import base64
import dataclasses
import logging

import numpy as np
import pandas as pd
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from pymatgen.symmetry.groups import sg_symbol_from_int_number

from unimat.materials.crystals.structures import to_structure
from unimat.report.quantities import spacegroup_symbol
from unimat.report.run_files import SetFiles

logger = logging.getLogger("unimat.report")

SYMPREC = 0.1  # Å; the Materials Project's tolerance for relaxed structures
COPIES_WITHIN = 0.01  # eV/atom above the last crystal shown, up to where copies are counted


@dataclasses.dataclass(frozen=True)
class BestCrystal:
    """One crystal of the gallery.

    Attributes:
        structure: relaxed, as in the table.
        pictured: its conventional cell, or `structure` itself when no symmetry could be found.
        row: its row of the stability table.
        times: how many of the converged crystals, up to `COPIES_WITHIN` above the last one shown, are this crystal.
    """

    material_id: str
    structure: Structure
    pictured: Structure
    spacegroup: str
    row: pd.Series
    times: int

    @property
    def cif_uri(self) -> str:
        return cif_uri(self.structure)


def cif_uri(structure: Structure) -> str:
    """``data:`` address of a structure as CIF."""
    return "data:chemical/x-cif;base64," + base64.b64encode(str(CifWriter(structure)).encode()).decode()


def best_crystals(one: SetFiles, n: int) -> list[BestCrystal]:
    """The `n` distinct relaxed crystals of lowest decomposition energy, lowest first.

    Crystals that did not converge, or whose structure or energy is missing, are left out. Crystals of one reduced
    formula that pymatgen's StructureMatcher (default tolerances) finds equal are shown once.
    """
    if one.stability is None or one.relaxed is None or n == 0:
        return []
    rows = candidates(one.stability)
    where = {material_id: index for index, material_id in enumerate(one.relaxed.material_ids)}
    rows = rows[rows["material_id"].isin(list(where))]
    chosen: list[tuple[Structure, pd.Series, int]] = []
    matcher = StructureMatcher()
    for _, row in rows.iterrows():
        structure = to_structure(one.relaxed[where[row["material_id"]]])
        twin = _twin(structure, chosen, matcher)
        if twin is not None:
            chosen[twin] = (*chosen[twin][:2], chosen[twin][2] + 1)
        elif len(chosen) < n:
            chosen.append((structure, row, 1))
        elif row["decomposition_energy"] > chosen[-1][1]["decomposition_energy"] + COPIES_WITHIN:
            break
    return [_described(*each) for each in chosen]


def candidates(stability: pd.DataFrame) -> pd.DataFrame:
    """Converged rows with a decomposition energy, lowest first; ties by id."""
    rows = stability[np.isfinite(stability["decomposition_energy"].astype(float))]
    if "converged" in rows:
        rows = rows[rows["converged"].fillna(False).astype(bool)]
    return rows.sort_values(["decomposition_energy", "material_id"], kind="stable")


def _twin(
    structure: Structure, chosen: list[tuple[Structure, pd.Series, int]], matcher: StructureMatcher
) -> int | None:
    for index, (other, _, _) in enumerate(chosen):
        same_formula = structure.composition.reduced_formula == other.composition.reduced_formula
        if same_formula and matcher.fit(structure, other):
            return index
    return None


def _described(structure: Structure, row: pd.Series, times: int) -> BestCrystal:
    number, pictured = conventional(structure, str(row["material_id"]))
    return BestCrystal(str(row["material_id"]), structure, pictured, spacegroup(number), row, times)


def conventional(structure: Structure, name: str) -> tuple[int, Structure]:
    """Number of the space group and the conventional cell; 1 and the structure itself where no symmetry is found."""
    try:
        analyzer = SpacegroupAnalyzer(structure, symprec=SYMPREC)
        return analyzer.get_space_group_number(), analyzer.get_conventional_standard_structure()
    except (ValueError, TypeError, AttributeError, np.linalg.LinAlgError) as error:  # spglib gives up on some cells
        logger.debug("no symmetry found for %s: %s", name, error)
        return 1, structure


def spacegroup(number: int) -> str:
    """Such as P6₃/mmc (194)."""
    return f"{spacegroup_symbol(sg_symbol_from_int_number(number))} ({number})"
