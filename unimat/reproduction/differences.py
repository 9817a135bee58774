"""In words: what of a run is less than the publishers' whole protocol, and what else sets it apart from theirs."""

from collections.abc import Mapping
from typing import Any

PROTOCOL = 10_000  # crystals generated: CDVAE, arXiv 2110.06197, and all that follow it
FEWEST = 1_000  # below it coverage and distributions are those of a small draw


def incomplete(found: Mapping[str, Any]) -> list[str]:
    """Why a run is a partial one; empty for one that has all of the data, crystals and test compositions."""
    return [*_data(found["data"]), *_crystals(found["generation"]), *_truths(found["prediction"] or {})]


def notes(found: Mapping[str, Any]) -> list[str]:
    """What else has to be known to read the numbers of a run."""
    said = []
    split = str(found["data"].get("split") or "")
    if split and split != "given by the source":
        said.append(f"Split: {split}.")
    twins = found["data"].get("test_in_train")
    if twins and twins["count"]:
        said.append(
            f"{twins['count']:,} of {twins['of']:,} test crystals look like one of the training split (by formula, "
            "volume, shortest distance and space group)."
        )
    settings = found["generation"]["metrics"].get("settings") or {}
    predictor = settings.get("energy_predictor") or "none"
    how = "not computed" if predictor == "none" else f"by {predictor}"
    said.append(f"Distance of energies: {how}; the paper's is by CDVAE's own predictor.")
    return said


def _data(data: Mapping[str, Any]) -> list[str]:
    parts = (data.get("completeness") or {}).items()
    return [
        f"{split} has {part['count']:,} of {part['of']:,} published crystals"
        for split, part in parts
        if part["count"] < part["of"]
    ]


def _crystals(generation: Mapping[str, Any]) -> list[str]:
    n, split = generation["n_requested"] or 0, generation["reference_split"]
    said = [] if split == "test" else [f"judged against the {split} split, not the test split"]
    if n < FEWEST:
        said.append(f"{n:,} crystals generated: fewer than {FEWEST:,}, too few for coverage and distributions")
    elif n < PROTOCOL:
        said.append(f"{n:,} crystals generated, not {PROTOCOL:,}: coverage of the reference grows with them")
    return said


def _truths(prediction: Mapping[str, Any]) -> list[str]:
    said = []
    for n, found in prediction.items():
        of, split = found["truths"]["of"], found["truths"]["split"]
        if split != "test" or (of and found["n_truths"] < of):
            among = f" of {of:,}" if of else ""
            which = f"{found['n_truths']:,}{among} {split or 'other'} crystals"
            said.append(f"prediction with {n} {'sample' if n == '1' else 'samples'} for the compositions of {which}")
    return said
