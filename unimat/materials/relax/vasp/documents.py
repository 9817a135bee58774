"""What documents of VASP's calculations in a job store say beside the results."""

from collections.abc import Sequence
from typing import Any

from unimat.materials.relax.vasp import custodian_log
from unimat.materials.relax.vasp.stage import STATIC

STAGES = ("relax_1", "relax_2", STATIC)


def mended(documents: Sequence[Any]) -> list[dict[str, Any]]:
    """Errors that custodian mended in relax 1, relax 2 and static, from what emmet's documents keep of its log."""
    logs = [
        (stage, [{"corrections": each.corrections or []} for each in document.custodian or []])
        for stage, document in zip(STAGES, documents, strict=True)
    ]
    return custodian_log.mended(logs)
