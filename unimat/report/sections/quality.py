"""Are the crystals sound: validity, uniqueness, novelty, coverage."""

from collections.abc import Mapping
from typing import Any

from unimat.report.blocks import Block, Bullets, Missing, Section, Table, Text
from unimat.report.known import known_crystals
from unimat.report.quantities import NOT_COMPUTED, Share, number, share, with_interval
from unimat.report.run_files import RunFiles, SetFiles

MODES = ("cdvae", "strict")
RATES = {
    "structure_valid": "Structure valid",
    "composition_valid": "Composition valid",
    "valid": "Both valid",
    "valid_unique_and_novel": "Valid, unique and novel",
}
SHARED_RATES = {"unique": "Unique", "novel": "Novel", "unique_and_novel": "Unique and novel"}
CAPTION = (
    "Counts of everything that was generated, as generated (before any relaxation), crystals that could not be used "
    "included, with their 95 % intervals; "
    "cdvae: the evaluation that papers quote, strict: what it should have been"
)
SIZES = {"n_atoms": "atoms", "n_elements": "elements"}


def validity(run: RunFiles) -> Section:
    """Rates of every set in both modes, with counts, denominators and intervals."""
    with_metrics = [each for each in run.sets.values() if each.metrics]
    blocks: list[Block] = []
    if with_metrics:
        rows = [
            [each.name, mode, *(with_interval(rate_of(each, mode, key)) for key in RATES)]
            for each in with_metrics
            for mode in MODES
        ]
        blocks.append(Table(CAPTION, ("Set", "Mode", *RATES.values()), rows, (0, 1)))
        shared = [
            [each.name, *(with_interval(rate_of(each, None, key)) for key in SHARED_RATES)] for each in with_metrics
        ]
        blocks.append(Table("In both modes", ("Set", *SHARED_RATES.values()), shared))
        blocks.append(Text(_rules(run, with_metrics[0])))
        blocks += [
            Text(f"{each.name}: {note}") for each in with_metrics for note in (each.metrics or {}).get("notes", [])
        ]
        blocks += _coverage(with_metrics)
        blocks += _why_modes_differ(with_metrics[0])
        blocks += _by_size(with_metrics[0])
    without = [each.name for each in run.sets.values() if not each.metrics]
    if without or not run.sets:
        blocks.append(Missing(_no_metrics(without), partial=bool(with_metrics)))
    return Section("validity", "Validity, uniqueness, novelty, coverage", "", blocks)


def valid_unique_novel(one: SetFiles) -> Share | None:
    """Crystals that are valid, unique and novel at once, of everything generated; None if that was not judged."""
    columns = ["valid", "unique", "novel"]
    if one.verdicts is None or one.n_generated is None or not set(columns) <= set(one.verdicts):
        return None
    if len(one.verdicts) and one.verdicts["novel"].isna().all():
        return None
    judged = one.verdicts[columns].fillna(False).astype(bool)
    drawn = ((one.metrics or {}).get("matching") or {}).get("n_generated")  # null: a summary of an older version
    return Share(int(judged.all(axis=1).sum()), one.n_generated if drawn is None else drawn)


def rate_of(one: SetFiles, mode: str | None, key: str) -> Share | None:
    """Share of a set's summary in a mode, or of those that both modes have; None if it has none."""
    metrics: Mapping[str, Any] = one.metrics or {}
    block = metrics if mode is None else metrics.get(mode) or {}
    return share((block.get("rates") or {}).get(key), one.n_generated)


def _rules(run: RunFiles, one: SetFiles) -> str:
    metrics = one.metrics or {}
    settings, versions = metrics.get("settings") or {}, metrics.get("versions") or {}
    lists = [str(settings.get(key)) for key in ("oxidation_states", "strict_oxidation_states")]
    return (
        f"Structure valid: no two atoms closer than {settings.get('min_distance', 0.5)} Å; strict: nor an atom and its"
        " own images. Composition valid: charge neutral for some choice of oxidation states, by SMACT (smact"
        f" {versions.get('smact')}) and its list {lists[0]}; strict: by list {lists[1]}, and usual oxidation states"
        " balance in the cell; single elements and alloys pass. Unique: first of the crystals that match each other."
        f" Novel: matches no crystal of {known_crystals(run, one, generated=True)}."
    )


def _why_modes_differ(one: SetFiles) -> list[Block]:
    """One sentence for each kind of difference."""
    whys: dict[str, list[str]] = {}
    for each in (one.metrics or {}).get("differences") or []:
        whys.setdefault(str(each.get("why")), []).append(str(each.get("number")).partition(".")[2])
    items = [(", ".join(names).replace("_", " "), f"{why[:1].upper()}{why[1:]}.") for why, names in whys.items()]
    return [Text(f"Why the modes differ for {one.name}:"), Bullets(items)] if items else []


def _by_size(one: SetFiles) -> list[Block]:
    """A table of rates for each quantity that the summary breaks them down by."""
    columns = ("Generated", "Reference", "Valid, cdvae", "Valid, strict", "Unique", "COV-P, cdvae", "COV-R, cdvae")
    blocks: list[Block] = []
    for key, what in SIZES.items():
        bins = ((one.metrics or {}).get("by") or {}).get(key) or []
        rows = []
        for each in bins:
            cdvae, strict = each.get("cdvae") or {}, each.get("strict") or {}
            rates = (cdvae.get("valid"), strict.get("valid"), each.get("unique"), cdvae.get("cov_precision"),
                     cdvae.get("cov_recall"))  # fmt: skip
            counts = (number(each.get("n_generated")), number(each.get("n_reference")))
            rows.append([_bin(each), *counts, *(str(share(rate) or NOT_COMPUTED) for rate in rates)])
        if rows:
            caption = f"{one.name}, by number of {what}; recall is of reference crystals of that size"
            blocks.append(Table(caption, (what.capitalize(), *columns), rows))
    return blocks


def _bin(each: Mapping[str, Any]) -> str:
    first, last = each.get("first"), each.get("last")
    if last is None:
        return f"{first} or more"
    return str(first) if first == last else f"{first} to {last}"


def _no_metrics(names: list[str]) -> str:
    if not names:
        return "No set to judge: sets/ is empty; `unimat sample`, `select`, `convert` and `airss` make sets."
    plural = "s" if len(names) > 1 else ""
    return f"No metrics for the set{plural} {', '.join(names)}: metrics.json is not there; `unimat metrics` makes it."


def _coverage(sets: list[SetFiles]) -> list[Block]:
    rows = []
    for each in sets:
        for mode in MODES:
            coverage = ((each.metrics or {}).get(mode) or {}).get("coverage")
            if coverage:
                rates = [with_interval(share(coverage.get(f"cov_{side}"))) for side in ("recall", "precision")]
                means = [measured(coverage.get(f"{kind}_{side}"), "value")
                         for side in ("recall", "precision") for kind in ("amsd", "amcd")]  # fmt: skip
                rows.append([each.name, mode, *rates, *means])
    if not rows:
        return [Missing("No coverage: metrics.json has none; `unimat metrics` with a reference split makes it.")]
    columns = ("Set", "Mode", "COV-R (of reference)", "COV-P (of generated)", "AMSD-R", "AMCD-R", "AMSD-P", "AMCD-P")
    cutoffs = ((sets[0].metrics or {}).get("fingerprints") or {}).get("cutoffs") or {}
    caption = (
        "Coverage: crystals with a neighbour in the other set within both cut-offs (distance of structure fingerprints"
        f" {number(cutoffs.get('structure'))}, of composition fingerprints {number(cutoffs.get('composition'))}), of"
        " recall R and precision P; AMSD and AMCD: mean distance to the nearest one, lower is better"
    )
    return [Table(caption, columns, rows, (0, 1))]


def measured(entry: Mapping[str, Any] | None, key: str) -> str:
    """A distance with its interval: ``0.08 [0.07, 0.09]``."""
    found = entry or {}
    if found.get(key) is None:
        return number(None)
    if found.get("low") is None:
        return number(found[key])
    return f"{number(found[key])} [{number(found['low'])}, {number(found['high'])}]"
