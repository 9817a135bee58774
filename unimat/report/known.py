"""Which crystals a run's novelty was judged against, in words."""

from unimat.materials.hull import novelty_judged
from unimat.report.run_files import RunFiles, SetFiles


def novelty_judged_after(one: SetFiles) -> bool:
    """Whether novelty was judged of the relaxed crystals."""
    return one.stability is not None and novelty_judged(one.stability)


def known_crystals(run: RunFiles, one: SetFiles | None) -> str:
    """Such as ``the training split``."""
    return "the training split"
