"""Everything that went wrong with the crystals of the primary set, by stage and reason."""

import re
from collections import Counter

import pandas as pd

from unimat.report.blocks import Block, Missing, Section, Table
from unimat.report.crystal_rows import crystal_rows
from unimat.report.quantities import Share
from unimat.report.run_files import RunFiles, SetFiles

TITLE = "Failures by reason"
STAGES = {  # column of the reason: stage that gave it
    "rejected": "no crystal",
    "reason": "not valid as generated (CDVAE’s rules)",
    "fingerprint_failure": "no fingerprint as generated",
    "failure": "relaxation failed",
    "not_judged": "no place against the hull",
}
MAX_LENGTH = 90  # of a reason; longer ones are cut


def failures(run: RunFiles, primary: SetFiles | None) -> Section:
    """A row for each stage and reason; a crystal may be in several."""
    if primary is None:
        return Section("failures", TITLE, "", [Missing("No failures to count: sets/ is empty.")])
    rows = crystal_rows(primary)
    crystals = rows[rows["rejected"].isna()]
    counts = Counter(
        (stage, reason)
        for column, stage in STAGES.items()
        for text in (rows if column == "rejected" else crystals)[column]
        if isinstance(text, str) and text
        for reason in _kinds(text)
    )
    stages = list(STAGES.values())
    ordered = sorted(counts.items(), key=lambda item: (stages.index(item[0][0]), -item[1], item[0][1]))
    of = primary.n_generated or len(rows)
    table = [[stage, reason, str(Share(count, of))] for (stage, reason), count in ordered]
    unknown = [stage for column, stage in STAGES.items() if column != "rejected" and not _judged(primary, column)]
    blocks: list[Block] = []
    if table:
        caption = f"“{primary.name}” by stage and reason, of everything generated; a crystal may be in several rows"
        blocks.append(Table(caption, ("Stage", "Reason", "Crystals"), table, (0, 1)))
    else:
        blocks.append(Missing(f"No stage that has run found anything wrong with a crystal of {primary.name}.", True))
    if unknown:
        blocks.append(Missing(f"Not looked at, since the stage has not run: {'; '.join(unknown)}.", partial=True))
    return Section("failures", TITLE, "", blocks)


def _judged(one: SetFiles, column: str) -> bool:
    """Whether the stage that fills a column has run."""
    if column == "failure":
        return one.relaxed is not None
    frame: pd.DataFrame | None = one.stability if column == "not_judged" else one.verdicts
    return frame is not None and column in frame


def _kinds(text: str) -> list[str]:
    """The kinds of failure that a reason names: its parts without the numbers of the one crystal."""
    parts = [part.strip() for part in text.split(";") if part.strip()]
    return list(dict.fromkeys(_kind(part) for part in parts))


def _kind(part: str) -> str:
    """``structure: two atoms 0.31 Å apart`` as ``structure: two atoms … Å apart``."""
    kind = re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "…", part)
    return kind if len(kind) <= MAX_LENGTH else f"{kind[: MAX_LENGTH - 1]}…"
