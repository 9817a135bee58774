"""Which crystals near the hull are unique in their set and unknown to a table of known crystals."""

import numpy as np
import pandas as pd

from unimat.crystal_table import CrystalTable
from unimat.materials.stability_settings import HullSettings


def with_novelty(
    frame: pd.DataFrame, table: CrystalTable, known: CrystalTable | None, settings: HullSettings
) -> pd.DataFrame:
    """The stability table with columns `unique` and `novel`.

    Only crystals with E_d below `settings.match_below` are matched, against each other and against the known; the
    columns are null elsewhere, and `novel` is null everywhere without a table of known crystals.
    """
    from unimat.materials import matching

    near = np.flatnonzero(frame["decomposition_energy"].to_numpy() < settings.match_below)
    crystals = [table[int(index)] for index in near]
    unique = pd.Series(pd.NA, index=frame.index, dtype="boolean")
    novel = unique.copy()
    labels = matching.clusters(crystals)
    unique.iloc[near] = [labels.index(label) == position for position, label in enumerate(labels)]
    if known is not None:
        novel.iloc[near] = [match is None for match in matching.matches_known(crystals, list(known))]
    return frame.assign(unique=unique, novel=novel)
