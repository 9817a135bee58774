"""The summary as a small table for the terminal: both modes side by side, under the names of the papers."""

from collections.abc import Mapping
from typing import Any

from unimat.materials.metrics.modes import CDVAE, STRICT

# Heading of a row: where the number stands in a mode's block.
ROWS = {
    "structure valid": "rates.structure_valid",
    "composition valid (SMACT)": "rates.composition_valid",
    "valid (both)": "rates.valid",
    "COV-R (recall)": "coverage.cov_recall",
    "COV-P (precision)": "coverage.cov_precision",
    "AMSD-R": "coverage.amsd_recall",
    "AMCD-R": "coverage.amcd_recall",
    "AMSD-P": "coverage.amsd_precision",
    "AMCD-P": "coverage.amcd_precision",
    "Wasserstein, density": "distributions.density",
    "Wasserstein, elements": "distributions.n_elements",
    "Wasserstein, energy": "distributions.energy_per_atom",
    "valid and unique": "rates.valid_and_unique",
    "valid, unique and novel": "rates.valid_unique_and_novel",
}


def table_text(summary: Mapping[str, Any]) -> str:
    """Several lines: counts, a row for each number that the modes have, what both share, and the notes."""
    rows = [("", f"{CDVAE} mode", f"{STRICT} mode")]
    for heading, path in ROWS.items():
        entries = [entry_at(summary[mode], path) for mode in (CDVAE, STRICT)]
        if any(entries):
            rows.append((heading, told(entries[0]), told(entries[1])))
    rows += [(name.replace("_", " "), told(entry), told(entry)) for name, entry in summary["rates"].items() if entry]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    prints = summary["fingerprints"]
    head = (
        f"{summary['set']}: {summary['n_generated']:,} generated, {summary['n_rejected']:,} of them not usable,"
        f" against {prints['n_reference_available']:,} reference crystals"
    )
    foot = ["In brackets: 95 % intervals (rates: Wilson; distances: bootstrap)."]
    foot += [f"Note: {note}." for note in summary["notes"]]
    return "\n".join([head, *lines, *foot])


def entry_at(block: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    """Entry of a mode's block under ``part.name``; None if it has none."""
    part, _, name = path.partition(".")
    return block.get(part, {}).get(name)


def told(entry: Mapping[str, Any] | None) -> str:
    """An entry as read: ``0.9982 [0.9971, 0.9989]``; a dash where there is no number."""
    if entry is None:
        return "-"
    value = next((entry[key] for key in ("rate", "value", "wasserstein") if key in entry), None)
    if value is None:
        return "-"
    unit = f" {entry['unit']}" if entry.get("unit") else ""
    if entry.get("low") is None:
        return f"{value:.4f}{unit}"
    return f"{value:.4f} [{entry['low']:.4f}, {entry['high']:.4f}]{unit}"
