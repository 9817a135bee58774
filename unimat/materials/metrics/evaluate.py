"""All metrics of one set: verdicts per crystal, and the summary that counts them in both modes."""

import collections
import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unimat import __version__
from unimat.crystal_table import CrystalTable, Rejected
from unimat.errors import CrystalRejected, UserError
from unimat.materials.crystals.intervals import Bootstrap, rate
from unimat.materials.crystals.structures import check_crystal
from unimat.materials.metrics import distributions, modes
from unimat.materials.metrics.breakdown import breakdown
from unimat.materials.metrics.energies import Energies, energies, energy_type
from unimat.materials.metrics.fingerprint_distances import Prints, with_columns, with_distances
from unimat.materials.metrics.modes import CDVAE, STRICT, Sides, flags
from unimat.materials.metrics.notes import notes
from unimat.materials.metrics.settings import MetricsSettings, matcher_settings
from unimat.materials.metrics.verdicts import Work, judge, verdicts
from unimat.materials.stability.novelty import described
from unimat.settings import as_dict

log = logging.getLogger("unimat.metrics")

_LIBRARIES = ("smact", "pymatgen", "matminer", "spglib", "scipy")


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Metrics of one set.

    Attributes:
        summary: JSON-ready; every rate with its count and what it is a share of, see docs/metrics.md.
        verdicts: one row per crystal, the rejected included, see `unimat.materials.metrics.verdicts.SCHEMA`.
    """

    summary: dict[str, Any]
    verdicts: pa.Table


def evaluate(
    name: str,
    crystals: CrystalTable,
    reference: CrystalTable,
    known: CrystalTable | Mapping[str, CrystalTable] | None = None,
    rejected: Sequence[Rejected] = (),
    settings: MetricsSettings | None = None,
    processes: int = 1,
    cache: str | Path | None = None,
) -> Metrics:
    """Metrics of the set `name`.

    Args:
        crystals: the generated crystals that could be built; those with numbers that make no crystal (not finite, no
            atoms, no element) join the rejected.
        reference: what they are compared with, usually the test split.
        known: what makes a crystal not novel, usually the training split, or several tables by name; None leaves
            novelty out.
        rejected: generated crystals that could not be built; they count in every denominator.
        processes: for fingerprints, geometry, energies and matching.
        cache: folder that keeps what is computed of either side between calls.

    Raises:
        UserError: if nothing was generated, the reference is empty or holds what is no crystal, or the energy
            predictor does not load.
    """
    settings = settings or MetricsSettings()
    tables = {"known": known} if isinstance(known, CrystalTable) else dict(known or {})
    everything = [crystal for table in tables.values() for crystal in table] if tables else None
    work = Work(processes, cache, settings.max_seconds)
    crystals, unusable = _usable(crystals)
    rejected = [*rejected, *unusable]
    n_generated = max(len(crystals) + len(rejected), crystals.metadata.get("n_requested") or 0)
    _refuse_nothing(name, n_generated, reference)
    if settings.energy_predictor != "none":
        energy_type(settings.energy_predictor)  # not loadable is better known now than after the fingerprints
    prints = Prints.of(crystals, reference, n_generated, settings, work)
    energy = _energies(crystals, reference, settings, work)
    matched = distributions.draw(n_generated, settings.matching_take, settings.seed)
    drawn = matched[matched < len(crystals)]
    table = verdicts(crystals, everything, prints.failures(len(crystals)), settings, rejected, work, drawn)
    table = with_distances(table, prints, len(crystals), settings)
    if energy:
        table = with_columns(table, energy_per_atom=energy[0].values, energy_failure=energy[0].failures)
    sides = _sides(table, n_generated, reference, prints, energy, settings, work, bool(tables), len(matched))
    counts = {"n_generated": n_generated, "n_crystals": len(crystals), "n_rejected": n_generated - len(crystals)}
    summary = _summary(sides, prints, reference, rejected, settings)
    matching = {
        **as_dict(matcher_settings(settings.matcher)),
        "n_generated": len(matched),
        "problems": dataclasses.asdict(work.problems),
    }
    about = {"energy_type": energy[0].energy_type if energy else None, "known": described(tables)}
    return Metrics(
        {"set": name, **counts, **summary, "matching": matching, **about, **_origin(settings)},
        table,
    )


def _summary(
    sides: Sides, prints: Prints, reference: CrystalTable, rejected: Sequence[Rejected], settings: MetricsSettings
) -> dict[str, Any]:
    """Everything that is counted, in both modes."""
    bootstrap = Bootstrap(settings.resamples, settings.seed)
    blocks = {mode: modes.block(mode, sides, settings, bootstrap) for mode in (CDVAE, STRICT)}
    return {
        **blocks,
        "differences": modes.differences(blocks, settings, version("smact")),
        "rates": _shared_rates(sides),
        "fingerprints": prints.as_json(settings, sides.n_generated, len(reference)),
        "failures": _failures(sides.table, rejected, sides.n_generated),
        "by": breakdown(sides.table, prints.sizes(reference), prints.recalled(settings), sides.with_novelty),
        "intervals": bootstrap.as_json(),
        "notes": notes(sides, blocks, len(rejected), len(reference), settings),
    }


def _origin(settings: MetricsSettings) -> dict[str, Any]:
    versions = {"unimat": __version__, **{name: version(name) for name in _LIBRARIES}}
    return {"settings": as_dict(settings), "versions": versions}


def _usable(crystals: CrystalTable) -> tuple[CrystalTable, list[Rejected]]:
    """The rows that are crystals at all, and the others."""
    rejected, kept = [], np.ones(len(crystals), bool)
    for row, crystal in enumerate(crystals):
        try:
            check_crystal(crystal, min_distance=0, min_volume_per_atom=0)
        except CrystalRejected as error:
            rejected.append(Rejected(crystal.material_id, f"row {row}", error.reason, error.detail))
            kept[row] = False
    return (crystals.take(kept) if rejected else crystals), rejected


def _refuse_nothing(name: str, n_generated: int, reference: CrystalTable) -> None:
    if n_generated == 0:
        raise UserError(f"set {name}: nothing was generated; sample some crystals first")
    if not len(reference):
        raise UserError(f"set {name}: the reference table has no rows; coverage needs some")
    _, unusable = _usable(reference)
    if unusable:
        raise UserError(
            f"set {name}: reference crystal {unusable[0].material_id} is none ({unusable[0].detail}); make the"
            " reference with `unimat ingest` or `unimat convert`, which leave such rows out"
        )


def _energies(
    crystals: CrystalTable, reference: CrystalTable, settings: MetricsSettings, work: Work
) -> tuple[Energies, Energies] | None:
    """Energies of either side, generated first; None if none were asked for."""
    if settings.energy_predictor == "none":
        return None
    theirs, ours = (
        energies(list(part), settings.energy_predictor, work.processes, work.cache, work.max_seconds, description)
        for part, description in ((reference, "energies, reference"), (crystals, "energies, generated"))
    )
    return ours, theirs


def _sides(
    table: pa.Table,
    n_generated: int,
    reference: CrystalTable,
    prints: Prints,
    energy: tuple[Energies, Energies] | None,
    settings: MetricsSettings,
    work: Work,
    with_novelty: bool,
    n_matched: int,
) -> Sides:
    judged = judge(list(reference), settings, [None] * len(reference), work, description="validity, reference")
    columns = {column for names in modes.RATES.values() for column in names.values()}
    theirs = distributions.properties(reference)
    names = list(theirs)
    if energy:
        theirs["energy_per_atom"] = energy[1].values
        names.append("energy_per_atom")
    return Sides(
        table=table,
        n_generated=n_generated,
        values={name: table.column(name).to_numpy().astype(float) for name in names},
        reference_verdicts={name: np.array([row[name] for row in judged], bool) for name in columns},
        reference_values=theirs,
        recall=prints.recall,
        precision=prints.precision,
        n_drawn=prints.n_drawn,
        with_novelty=with_novelty,
        n_matched=n_matched,
    )


def _shared_rates(sides: Sides) -> dict[str, dict[str, Any] | None]:
    """Rates that are the same in both modes."""
    unique, novel, n = flags(sides.table, "unique"), flags(sides.table, "novel"), sides.n_matched
    return {
        "unique": rate(unique.sum(), n),
        "novel": rate(novel.sum(), n) if sides.with_novelty else None,
        "unique_and_novel": rate((unique & novel).sum(), n) if sides.with_novelty else None,
    }


def _failures(table: pa.Table, rejected: Sequence[Rejected], n_generated: int) -> dict[str, Any]:
    """How many crystals failed where, by the kind of reason."""
    built = len(table) - len(rejected)
    return {
        "rejected": _counted(each.reason for each in rejected),
        "requested_but_missing": n_generated - len(table),
        "invalid": _counted(_kinds(table.column("reason").to_pylist()[:built])),
        "invalid_strict": _counted(_kinds(table.column("reason_strict").to_pylist()[:built])),
        "fingerprint": _counted(_kinds(table.column("fingerprint_failure").to_pylist()[:built])),
        "energy": _counted(_kinds(table.column("energy_failure").to_pylist()[:built])),
    }


def _kinds(reasons: Iterable[str | None]) -> Iterable[str]:
    """The word before the colon of each part of each reason: ``structure``, ``timeout``."""
    return (part.partition(":")[0] for reason in reasons if reason for part in reason.split("; "))


def _counted(kinds: Iterable[str]) -> dict[str, int]:
    return dict(sorted(collections.Counter(kinds).items()))
