"""How far to trust the numbers, and how to make them again."""

import json
from typing import Any

from unimat.report.blocks import Block, Bullets, Code, Section, Text
from unimat.report.known import known_crystals
from unimat.report.quantities import millis
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.sections.stability import engine_of, hull_name, threshold

STATIC = (
    "Zero temperature, zero pressure",
    "Energies are static: no vibrations, no entropy, no kinetics. Metastable crystals can be made, and stable ones can "
    "be out of reach; dynamic stability (phonons) was not looked at.",
)
NOVEL = (
    "Novelty compares with these crystals, not with all that is known. The rates of validity, uniqueness and novelty "
    "are of the crystals as generated, and two of those that count as different may relax to the same one. Beside an "
    "energy, novelty is judged after relaxation."
)
VALID = (
    "Valid means little",
    "Validity only refuses atoms on top of each other and charges that cannot balance. Coverage and distributions "
    "compare with the test split and reward likeness to it.",
)
SHARED = (
    "Comparisons see shared compositions only",
    "ΔE_f and the reduction rate leave out every crystal whose composition the other set lacks, and those that did not "
    "converge. A composition with many crystals weighs more.",
)
CHGNET_ERROR = (
    " CHGNet’s published error is 30 meV/atom on held-out Materials Project structures (Deng et al., Nat. Mach. "
    "Intell. 5, 1031, 2023), and more is to be expected far from them."
)
SMALL_SET = 1000  # crystals below which the page warns of chance


def caveats(run: RunFiles, primary: SetFiles | None) -> Section:
    """What the numbers do not say."""
    items = []
    if primary is not None and primary.relaxed is not None:
        items += _engine(primary)
    if primary is not None and primary.stability is not None:
        items += [_hull(run, primary), STATIC]
    items += [(f"Novel means: not in {known_crystals(run, primary)}", NOVEL), VALID]
    if primary is not None and primary.n_generated and primary.n_generated < SMALL_SET:
        items.append(_small(primary.n_generated))
    if run.comparisons:
        items.append(SHARED)
    return Section("caveats", "What these numbers do not say", "", [Bullets(items)])


def _hull(run: RunFiles, primary: SetFiles) -> tuple[str, str]:
    return (
        "A hull is as complete as its reference",
        f"E_d is taken against the hull {hull_name(run, primary)}. A phase that is missing there makes its neighbours "
        "look more stable than they are; a crystal below this hull is a candidate, not a discovery.",
    )


def _small(n: int) -> tuple[str, str]:
    return (
        "The set is small",
        f"{n:,} crystals were generated. The intervals under the headline numbers say how far a rate of so few can be "
        "from that of many; they say nothing about another training seed.",
    )


def reproduce(run: RunFiles, command: str | None, config: dict[str, Any] | None) -> Section:
    """The command, the configuration and the settings that the stages recorded."""
    blocks: list[Block] = []
    if command:
        blocks.append(Code("Command", command, folded=False))
    if config is not None:
        blocks.append(Code("Configuration of the run (JSON)", _json(config)))
    recorded = _recorded(run)
    if recorded:
        blocks.append(Code("Settings that each stage recorded (JSON)", _json(recorded)))
    if not (command or config or recorded):
        blocks.append(Text("The run's files record neither a command nor settings."))
    lead = (
        "On a CPU the same seed and versions give the same bytes; on accelerators sums may differ in their last digits."
    )
    return Section("reproduce", "How to reproduce", lead, blocks)


def _engine(primary: SetFiles) -> list[tuple[str, str]]:
    name = engine_of(primary)
    if "vasp" in name.lower():
        return []
    error = CHGNET_ERROR if "chgnet" in name.lower() else ""
    limit = f"The threshold of {millis(threshold(primary))} for metastable crystals is no larger than such errors."
    return [("Not DFT", f"Energies come from {name}, not from a first-principles calculation.{error} {limit}")]


def _recorded(run: RunFiles) -> dict[str, Any]:
    found: dict[str, Any] = {"encoding": _settings(run.encoding), "training": _settings(run.training)}
    for each in run.sets.values():
        stages = {"sampling": each.sampling, "metrics": each.metrics, "relaxation": each.relaxation,
                  "stability": each.stability_summary}  # fmt: skip
        found[f"set {each.name}"] = {name: kept for name, stage in stages.items() if (kept := _settings(stage))}
    return {name: value for name, value in found.items() if value}


def _settings(summary: dict[str, Any] | None) -> dict[str, Any]:
    """What a stage's summary says about its settings."""
    named = ("settings", "encode", "model", "train", "sample", "thresholds", "bootstrap", "seed")
    return {name: summary[name] for name in named if summary and summary.get(name) is not None}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
