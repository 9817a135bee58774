"""Pairs of crystals of two sets with the same composition, counted without writing them all out.

Ten thousand generated crystals of carbon and two thousand of a test split are twenty million pairs. Sums over them need
only the energies of either set by composition.
"""

import dataclasses

import numpy as np
import pandas as pd

COLUMNS = ["composition", "material_id_a", "material_id_b", "e_form_a", "e_form_b", "difference"]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Every pair of a crystal of A and one of B with the same reduced composition.

    Attributes:
        a, b: (material_id, e_form) of the crystals that have a partner, by composition; ordered by composition, then
            id. eV/atom.
        sizes: composition, n_a and n_b, one row for each.
    """

    a: pd.DataFrame
    b: pd.DataFrame
    sizes: pd.DataFrame

    def __len__(self) -> int:
        return int((self.sizes["n_a"] * self.sizes["n_b"]).sum())

    def sums(self) -> pd.DataFrame:
        """By composition: n pairs, sum of their differences (A minus B, eV/atom), and lower: those in which A is."""
        rows = []
        for (_, ours), (_, theirs) in zip(self._energies("a"), self._energies("b"), strict=True):
            difference = len(ours) * len(theirs) * (ours.mean() - theirs.mean())
            rows.append((len(ours) * len(theirs), difference, n_lower(ours, theirs)))
        found = pd.DataFrame(rows, columns=["n", "sum", "lower"], dtype=float)
        return found.set_axis(self.sizes["composition"].to_numpy())

    def lowest(self) -> "Pairs":
        """One pair per composition, the lowest crystal of A with the lowest of B: what the paper plots in Figure 8.

        Of equals, the first ids are taken.
        """
        firsts = []
        for frame in (self.a, self.b):
            order = frame.sort_values(["composition", "e_form", "material_id"])
            firsts.append(order.drop_duplicates("composition").reset_index(drop=True))
        return Pairs(firsts[0], firsts[1], self.sizes.assign(n_a=1, n_b=1))

    def table(self, limit: int | None = None, seed: int = 0) -> pd.DataFrame:
        """Pairs as rows of `COLUMNS`, ordered by composition and ids: all, or a seeded draw if they exceed `limit`.

        Energies and the difference (A minus B) in eV/atom.
        """
        total = len(self)
        if limit is None or total <= limit:
            chosen = np.arange(total)
        else:
            chosen = np.sort(np.random.default_rng(seed).choice(total, limit, replace=False, shuffle=False))
        n_a, n_b = (self.sizes[name].to_numpy() for name in ("n_a", "n_b"))
        ends = np.cumsum(n_a * n_b)
        group = np.searchsorted(ends, chosen, side="right")
        within = chosen - (ends - n_a * n_b)[group]
        ours = self.a.iloc[(np.cumsum(n_a) - n_a)[group] + within // n_b[group]]
        theirs = self.b.iloc[(np.cumsum(n_b) - n_b)[group] + within % n_b[group]]
        columns: dict[str, np.ndarray] = {"composition": ours["composition"].to_numpy()}
        for name in ("material_id", "e_form"):
            columns |= {f"{name}_a": ours[name].to_numpy(), f"{name}_b": theirs[name].to_numpy()}
        return pd.DataFrame(columns | {"difference": columns["e_form_a"] - columns["e_form_b"]})[COLUMNS]

    def _energies(self, side: str):
        frame = getattr(self, side)
        return ((name, group.to_numpy()) for name, group in frame.groupby("composition", sort=False)["e_form"])


def all_pairs(a: pd.DataFrame, b: pd.DataFrame) -> Pairs:
    """Pairs of equal reduced composition in which both crystals were relaxed and judged (set C of Equation 3).

    Args:
        a, b: stability tables (`unimat hull`).
    """
    names = {"formula": "composition", "e_form_per_atom": "e_form"}
    sides = [
        frame.loc[frame["e_form_per_atom"].notna(), ["material_id", *names]].rename(columns=names) for frame in (a, b)
    ]
    shared = set(sides[0]["composition"]) & set(sides[1]["composition"])
    left, right = (
        side[side["composition"].isin(shared)].sort_values(["composition", "material_id"], ignore_index=True)
        for side in sides
    )
    sizes = pd.DataFrame({"n_a": left.groupby("composition").size(), "n_b": right.groupby("composition").size()})
    return Pairs(left, right, sizes.rename_axis("composition").reset_index().astype({"n_a": int, "n_b": int}))


def n_lower(ours: np.ndarray, theirs: np.ndarray) -> int:
    """In how many pairs the first is strictly lower."""
    above = np.searchsorted(np.sort(theirs), ours, side="right")
    return int((len(theirs) - above).sum())
