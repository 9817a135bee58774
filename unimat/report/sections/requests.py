"""Are the crystals what was asked for: how many of a conditional set have the composition, elements and atoms."""

from typing import Any

from unimat.report.blocks import Block, Section, Table, Text
from unimat.report.quantities import share, with_interval
from unimat.report.run_files import RunFiles, SetFiles

MEASURES = {
    "same_composition": "Same cell",
    "same_reduced_composition": "Same formula",
    "same_elements": "Same elements",
    "only_requested_elements": "No other elements",
    "same_n_atoms": "Same number of atoms",
}
CAPTION = "Crystals that are what was asked for, of all that were asked for, with 95 % intervals"
RULES = (
    "Counted on the crystals as sampled, tensors that are no crystal included in the denominator. Same cell: as many "
    "atoms of each element as requested; same formula: in the same ratios; same elements: those and no others. "
    "Properties that were asked for are not checked here: they need a calculation."
)


def obedience(run: RunFiles) -> list[Section]:
    """How many crystals of each conditional set obeyed the request; nothing for a run without such a set."""
    told = [each for each in run.sets.values() if _obeyed(each)]
    if not told:
        return []
    names = [name for name in MEASURES if any(name in _obeyed(each) for each in told)]
    rows = [
        [each.name, _asked(each), *(with_interval(share(_obeyed(each).get(name))) for name in names)] for each in told
    ]
    blocks: list[Block] = [Table(CAPTION, ("Set", "Asked for", *(MEASURES[name] for name in names)), rows, (0, 1))]
    for each in told:
        blocks += _by_composition(each, names)
    return [Section("requests", "Requests and what came of them", "", [*blocks, Text(RULES)])]


def _obeyed(one: SetFiles) -> dict[str, Any]:
    return (one.sampling or {}).get("obeyed") or {}


def _asked(one: SetFiles) -> str:
    """What the settings of a set ask for, e.g. ``LiFePO4; omega 2``."""
    settings = (one.sampling or {}).get("settings") or {}
    parts = [str(settings[key]) for key in ("composition", "compositions", "chemical_system") if settings.get(key)]
    parts += [f"{name} = {value}" for name, value in (settings.get("properties") or {}).items()]
    if settings.get("guidance"):
        parts.append(f"omega {settings['guidance']:g}")
    return "; ".join(parts) or "not said"


def _by_composition(one: SetFiles, names: list[str]) -> list[Block]:
    found = _obeyed(one).get("by_composition")
    if not found:
        return []
    rows = [
        [formula, *(str(share(counts.get(name), counts["of"]) or "") for name in names)]
        for formula, counts in found.items()
    ]
    return [Table(f"{one.name}, by composition", ("Asked for", *(MEASURES[name] for name in names)), rows)]
