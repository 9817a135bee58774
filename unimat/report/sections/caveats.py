"""How far to trust the numbers, and how to make them again."""

import json
from typing import Any

from unimat.materials.relax.calculators import kind_of
from unimat.report.blocks import Block, Bullets, Code, Section, Text
from unimat.report.known import known_crystals, not_judged_against, seen_before
from unimat.report.quantities import millis
from unimat.report.relaxed_form import is_relaxed
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.sections.stability import energy_type_of, engine_of, hull_name, threshold

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
OF_DFT = (
    "They carry the error of the functional, of the cutoff and of the k-points. Where the reference differs in one of "
    "these, the difference enters every E_d."
)
SMALL_SET = 1000  # crystals below which the page warns of chance


def caveats(run: RunFiles, primary: SetFiles | None) -> Section:
    """What the numbers do not say."""
    items = _engines(run)
    if primary is not None and primary.stability is not None:
        items += [_hull(run, primary), STATIC]
    items += [(f"Novel means: not in {known_crystals(run, primary)}", NOVEL), *_seen(run, primary), VALID]
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


def _seen(run: RunFiles, primary: SetFiles | None) -> list[tuple[str, str]]:
    """That the model saw crystals which novelty was not judged against."""
    unjudged = not_judged_against(run, primary)
    if not unjudged:
        return []
    names = " and ".join(dict.fromkeys(str(each["name"]) for each in seen_before(run)))
    text = (
        f"The model of this run was trained elsewhere, or began with a model that was: {names}. Novelty was not judged "
        f"against {' and '.join(unjudged)}. A crystal that the model remembers from there counts as novel here; tables "
        "of those crystals under `hull.known` would count."
    )
    return [("The model saw more crystals than novelty knows", text)]


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


def _engines(run: RunFiles) -> list[tuple[str, str]]:
    """What the energies of each engine are worth, with the sets that it judged."""
    sets: dict[str, list[SetFiles]] = {}
    for each in run.sets.values():
        if is_relaxed(each):
            sets.setdefault(engine_of(each), []).append(each)
    return [_engine(name, judged, alone=len(sets) == 1) for name, judged in sets.items()]


def _engine(name: str, judged: list[SetFiles], alone: bool) -> tuple[str, str]:
    named = ", ".join(f"“{each.name}”" for each in judged)
    whose = "Energies come" if alone else f"Energies of {named} come"
    kind = kind_of(energy_type_of(judged[0]) or name)
    if kind == "first principles":
        where = "" if alone else f": {named}"
        return (f"DFT is an approximation{where}", f"{whose} from first-principles calculations by {name}. {OF_DFT}")
    if kind == "unknown":
        text = f"{whose} from {name}. The files do not say whether that is a first-principles calculation."
        return ("Of the energies, the calculator alone is known" + ("" if alone else f": {named}"), text)
    error = CHGNET_ERROR if "chgnet" in name.lower() else ""
    limit = f"The threshold of {millis(threshold(judged[0]))} for metastable crystals is no larger than such errors."
    title = "Not DFT" if alone else f"Not DFT: {named}"
    return (title, f"{whose} from {name}, not from a first-principles calculation.{error} {limit}")


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
