"""Every crystal of the primary set: a table to sort and filter, and a 3D view of each."""

from unimat.report.blocks import CrystalBrowser, Missing, Section
from unimat.report.crystal_rows import crystal_rows
from unimat.report.partners import partners
from unimat.report.payload import as_json, packed, payload
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
    found, geometry = payload(primary, listed, partners(run, {each for each in listed["formula"] if each}))
    caption = f"{len(listed):,} of {len(rows):,} crystals of the set “{primary.name}”"
    if primary.n_generated and primary.n_generated != len(rows):
        caption += f" ({primary.n_generated:,} were generated)"
    block = CrystalBrowser(packed(as_json(found)), packed(geometry), caption)
    return Section("crystal-table", TITLE, _lead(run, primary), [block])


def _lead(run: RunFiles, primary: SetFiles) -> str:
    energies = ""
    if primary.stability is not None:
        energies = f" E_f and E_d are by {engine_of(primary)}, E_d against the hull {hull_name(run, primary)}."
    return (
        f"Every crystal of “{primary.name}”, rejected and failed ones with their reasons. Open one (click, or Enter) "
        "to see it in three dimensions, from −0.1 to 1.1 of each axis as in Figure 3 of the paper, beside the test "
        "crystal of the same reduced formula and lowest energy, where there is one. Valid, unique and novel are judged "
        "before relaxation, valid by CDVAE’s rules; the space group (to 0.1 Å) is that of the relaxed crystal where "
        f"there is one.{energies}"
    )
