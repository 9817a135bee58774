"""Every crystal of the primary set: a table to sort and filter, and a 3D view of each."""

from unimat.report.blocks import CrystalBrowser, Missing, Section
from unimat.report.crystal_rows import crystal_rows
from unimat.report.known import known_crystals, novelty_judged_after
from unimat.report.origins import origins
from unimat.report.partners import partners
from unimat.report.payload import as_json, packed, payload
from unimat.report.quantities import millis
from unimat.report.relaxed_form import is_relaxed
from unimat.report.run_files import RunFiles, SetFiles
from unimat.report.sections.stability import engine_of, hull_name

TITLE = "All crystals"


def browser(run: RunFiles, primary: SetFiles | None, limit: int) -> Section:
    """The table of the primary set, rejected and failed crystals included; at most `limit` rows."""
    if primary is None or limit == 0:
        why = "report.crystals is 0" if primary is not None else "sets/ is empty; `unimat sample` makes a set"
        return Section("crystal-table", TITLE, "", [Missing(f"No table of crystals: {why}.")])
    rows = crystal_rows(primary)
    if rows.empty:
        text = f"No table of crystals: the set {primary.name} is empty, without so much as a rejected crystal."
        return Section("crystal-table", TITLE, "", [Missing(text)])
    listed = rows.head(limit)
    beside = partners(run, {each for each in listed["formula"] if each})
    found, geometry = payload(primary, listed, beside, origins(primary.crystals))
    caption = f"{len(listed):,} of {len(rows):,} crystals of the set “{primary.name}”"
    if primary.n_generated and primary.n_generated != len(rows):
        caption += f" ({primary.n_generated:,} were generated)"
    caption += ", as relaxed" if is_relaxed(primary) else ", as generated"
    block = CrystalBrowser(packed(as_json(found)), packed(geometry), caption)
    return Section("crystal-table", TITLE, _lead(run, primary), [block])


def _lead(run: RunFiles, primary: SetFiles) -> str:
    return (
        f"Every crystal of “{primary.name}”, rejected and failed ones with their reasons. Open one (click, or Enter) "
        "to see it in three dimensions, from −0.1 to 1.1 of each axis as in Figure 3 of the paper, beside the test "
        "crystal of the same reduced formula and lowest energy, where there is one. "
        f"{_state(run, primary)}"
    )


def _state(run: RunFiles, primary: SetFiles) -> str:
    """Which state of the crystals the columns speak of."""
    if not is_relaxed(primary):
        return (
            "No crystal of the set was relaxed: valid (by CDVAE’s rules), unique, novel and the space group (to 0.1 Å) "
            f"are of the crystals as generated. Novel means: not in {known_crystals(run, primary)}."
        )
    told = (
        "All columns speak of the relaxed crystals: valid by CDVAE’s rules of distances and charges, the space group "
        "to 0.1 Å. A crystal whose relaxation failed has a dash there."
    )
    if not novelty_judged_after(primary):
        told += " Nobody judged novelty after relaxation; `unimat hull` with `--known` does."
    else:
        told += f" Novel means: not in {known_crystals(run, primary)}."
        told += _compared(primary)
    if primary.stability is not None:
        told += f" E_f and E_d are by {engine_of(primary)}, E_d against the hull {hull_name(run, primary)}."
    return told


def _compared(primary: SetFiles) -> str:
    """Up to which energy uniqueness and novelty were looked at."""
    limit = ((primary.stability_summary or {}).get("novelty") or {}).get("match_below")
    where = f"with E_d below {millis(limit)}" if limit is not None else "near the hull"
    return f" Unique and novel were judged of crystals {where}; the others have a dash."
