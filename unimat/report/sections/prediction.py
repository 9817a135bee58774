"""Crystal structure prediction: how many crystals the samples made for their compositions found, and how closely."""

from typing import Any

from unimat.report.blocks import Section, Table
from unimat.report.quantities import number, share, with_interval
from unimat.report.run_files import RunFiles, SetFiles

PAIRS = {
    "all": "every pair",
    "valid": "valid sample and valid crystal",
    "valid_sample": "valid sample",
}
LEAD = (
    "Samples were made for the compositions of known crystals and compared with these. The best of so many samples "
    "counts; a sample that is no crystal keeps its place and counts as one without a match. RMSE is of the matched; "
    "cRMSE counts the others with the matcher’s tolerance; both in units of (volume per atom)^(1/3). METRe lets "
    "samples of one composition find any crystal of it."
)


def prediction(run: RunFiles) -> list[Section]:
    """A table of match rates by set; nothing for a run without predictions."""
    told = [each for each in run.sets.values() if each.prediction]
    rows = [row for each in told for row in _rows(each)]
    if not rows:
        return []
    columns = ("Set", "Samples", "Pairs that count", "Match rate, 95 % interval", "RMSE", "cRMSE")
    return [Section("prediction", "Structure prediction", LEAD, [Table(_caption(told), columns, rows, (0, 2))])]


def _caption(told: list[SetFiles]) -> str:
    tolerances = {_words_of((each.prediction or {})["settings"]["matcher"]) for each in told}
    return f"Crystals found, by StructureMatcher with {' or '.join(sorted(tolerances))}"


def _words_of(matcher: dict[str, Any]) -> str:
    return f"ltol {matcher['ltol']:g}, stol {matcher['stol']:g}, angle_tol {matcher['angle_tol']:g}°"


def _rows(one: SetFiles) -> list[list[str]]:
    summary = one.prediction or {}
    rows = []
    for n, figures in summary["samples"].items():
        rows += [[one.name, n, PAIRS[gate], *_cells(figures[gate])] for gate in PAIRS]
    if summary.get("metre"):
        rows.append([one.name, number(summary["n_samples"]["largest"]), "METRe: any of the composition",
                     *_cells(summary["metre"])])  # fmt: skip
    return rows


def _cells(figures: dict[str, Any]) -> list[str]:
    errors = [number(figures[key]["value"]) for key in ("rmse", "crmse")]
    return [with_interval(share(figures["match_rate"])), *errors]
