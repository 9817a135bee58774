"""The report's tables of several references, of lowest pairs and of convergence."""

import dataclasses

import numpy as np
import pandas as pd
from pymatgen.analysis.phase_diagram import PDEntry
from pymatgen.core import Composition

from unimat.crystal_table import Crystal, from_crystals
from unimat.materials.comparison import compare
from unimat.materials.comparison.convergence import convergence
from unimat.materials.comparison.pairs import all_pairs
from unimat.materials.stability import hull
from unimat.materials.stability import summary as stability_summary
from unimat.materials.stability.references import reference
from unimat.materials.stability.settings import CompareSettings, HullSettings
from unimat.materials.stability.verdict_flips import verdict_flips
from unimat.report.blocks import Table
from unimat.report.run_files import Comparison, SetFiles
from unimat.report.sections.comparison import _comparison_table, _convergence_table
from unimat.report.sections.stability import _by_reference, _lost_phases, _on_hull

TYPE = {"calculator": "CHGNet", "functional": "PBE", "corrections": "MP2020, learned", "quantity": "total energy"}


def judged_set(*names: str) -> SetFiles:
    """One crystal of SiC, stable only against references that do not know SiC (all but the first)."""
    table = from_crystals(
        [Crystal("c-0", np.eye(3) * 4, np.array([14, 6]), np.array([[0, 0, 0], [0.25] * 3]),
                 {"energy_per_atom": -7.1, "converged": True})],
        energy_type=TYPE, n_requested=4,
    )  # fmt: skip
    phases = [("C", -9.0), ("Si", -5.0), ("SiC", -7.5)]
    hulls = hull.hulls_of(
        [
            reference.Reference(
                name,
                [PDEntry(Composition(f), e * len(Composition(f)), f"mp-{f}") for f, e in phases[: 2 if place else 3]],
                TYPE,
            )
            for place, name in enumerate(names)
        ]
    )
    frames = hull.stability_tables(table, hulls, HullSettings())
    frames = {name: frame.assign(unique=True, novel=True) for name, frame in frames.items()}
    flips = verdict_flips(frames, hulls)
    summary = stability_summary.summary_of_all(frames, "generated", table, hulls, flips, HullSettings())
    empty = {field.name: None for field in dataclasses.fields(SetFiles)}
    return SetFiles(**{**empty, "name": "generated", "rejected": [], "stability": frames[names[0]],
                       "stability_summary": summary})  # fmt: skip


def test_counts_by_reference_and_disagreements_are_shown():
    counts, flips = _by_reference([judged_set("large", "small")])
    assert isinstance(counts, Table)
    assert isinstance(flips, Table)
    assert [row[1] for row in counts.rows] == ["large", "small"]
    assert [row[4].split(" (")[0] for row in counts.rows] == ["0 of 4", "1 of 4"]
    (row,) = flips.rows
    assert row[3] == "unstable against “large”, stable against “small”"
    assert row[5] == "SiC (mp-SiC) is in 'large' alone"


def test_one_reference_needs_no_further_table():
    assert _by_reference([judged_set("large")]) == []


def test_crystals_on_the_hull_and_near_lost_phases_are_said():
    one = judged_set("large")
    assert _on_hull(one) is None
    assert _lost_phases(one) is None
    summary = one.stability_summary | {
        "on_hull": {"count": 2, "of": 4},
        "lost_phases": {"systems": {"C-Si": 3}, "verdicts": {"count": 2, "of": 3, "first": ["c-0"]}},
    }
    one = dataclasses.replace(one, stability_summary=summary)
    assert _on_hull(one).startswith("2 crystals of “generated” lie on the hull, within 1e-06 eV/atom")
    assert "2 of 3 verdicts of “generated” are of chemical systems that contain phases which" in _lost_phases(one)
    assert "(3, listed in hull/reference.json)" in _lost_phases(one)
    assert _lost_phases(one).endswith("may look more stable than they are: c-0, ….")


def test_lowest_pairs_and_convergence_have_rows_of_their_own():
    frame = pd.DataFrame(
        {"material_id": ["x", "y", "z"], "formula": ["SiC", "SiC", "C"], "e_form_per_atom": [-0.1, 0.2, np.nan],
         "converged": [True, True, False]}
    )  # fmt: skip
    other = frame.assign(material_id=["u", "v", "w"], e_form_per_atom=[0.0, 0.3, 0.1], converged=True)
    settings = CompareSettings(bootstrap=50)
    summary = {"a": "ours", "b": "theirs", **compare.comparison(all_pairs(frame, other), settings)}
    shown = Comparison(summary | {"convergence": convergence(frame, other, settings)}, None)
    table = _comparison_table([shown])
    assert [row[0] for row in table.rows] == ["ours against theirs", "ours against theirs, lowest of each composition"]
    assert "draws of crystals" in table.caption
    (rates,) = _convergence_table([shown])
    assert isinstance(rates, Table)
    assert [row[2].split(" (")[0] for row in rates.rows] == ["1 of 2", "2 of 2"]
    assert _convergence_table([Comparison({"a": "ours", "b": "theirs"}, None)]) == []
