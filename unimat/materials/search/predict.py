"""Predicted crystals of compositions: candidates of several sources, relaxed, judged and ranked."""

import dataclasses
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from unimat import sampled
from unimat.crystal_table import Crystal, CrystalTable, Rejected, from_crystals
from unimat.errors import UserError
from unimat.materials.matching import clusters as matching
from unimat.materials.relax.engine import energy_type_of
from unimat.materials.relax.force_fields.known import FORCE_FIELDS, demand_installed
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.relax.shard import relax_shard
from unimat.materials.search import pool as pools
from unimat.materials.search.asked import Asked, asked
from unimat.materials.search.pool import MODEL, RANDOM, SUBSTITUTION, Pool, copy_of
from unimat.materials.search.ranked import FIELDS, ranked
from unimat.materials.search.substitution import Candidate, Substitution
from unimat.materials.search.templates import Templates, reduced_counts
from unimat.materials.stability.decomposition import Hulls
from unimat.materials.stability.hull import refuse_strangers
from unimat.materials.stability.references.reference import Reference
from unimat.periodic_table import SYMBOLS
from unimat.settings import as_dict

log = logging.getLogger("unimat.predict")

FURTHER = 4  # candidates of substitution for each that is wanted: some are copies
# Of the Materials Project's data, on which the models and distances that ship were trained.
LEARNED = frozenset(range(1, 95)) - {84, 85, 86, 87, 88}
MAX_ATOMS = 400  # of a crystal to be relaxed or drawn


@dataclasses.dataclass(frozen=True)
class PredictSettings:
    """Prediction.

    Attributes:
        count: candidates of each composition.
        sources: where they come from, see `pool.SOURCES`; the first one fills what others lack.
        pretrained: shipped model that samples.
        engine: force field that relaxes, `none`, or `auto`: CHGNet where it is installed.
        fmax: largest force at which a crystal counts as relaxed, eV/Å.
        max_steps: of a relaxation.
        seed: of samples and random structures.
    """

    count: int = 10
    sources: tuple[Literal["substitution", "model", "random"], ...] = ("substitution", "model")
    pretrained: str = "mp_20"
    engine: str = "auto"
    fmax: float = 0.05
    max_steps: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count must be at least 1, found {self.count}")
        if not self.sources or len(set(self.sources)) < len(self.sources):
            raise ValueError(f"sources must be different ones of {', '.join(pools.SOURCES)}")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Predicted crystals.

    Attributes:
        crystals: best first within each composition, in the order of the compositions; columns of `ranked.FIELDS`,
            and of relaxation where there was one.
        initial: the same crystals before relaxation; None where there was none.
        templates: crystals that elements were exchanged in.
        rejected: copies, and what is no crystal.
        notes: what could not be done, a line each.
    """

    asked: list[Asked]
    crystals: CrystalTable
    initial: CrystalTable | None
    templates: CrystalTable
    rejected: list[Rejected]
    notes: list[str]

    def compositions(self) -> list[Crystal]:
        """The best crystal of each composition, lowest decomposition energy first; none without a hull."""
        lowest = [crystal for crystal in self.crystals if crystal.properties["rank"] == 1]
        judged = [each for each in lowest if each.properties["decomposition_energy"] is not None]
        return sorted(judged, key=lambda each: each.properties["decomposition_energy"])


def predict(
    formulas: Sequence[str],
    library: Templates,
    settings: PredictSettings | None = None,
    reference: Reference | None = None,
    work: str | Path | None = None,
) -> Prediction:
    """Candidates of each composition, likeliest or lowest first.

    Args:
        formulas: such as LiFePO4; one that names several formula units, as Li4Fe4P4O16, asks for cells of so many.
        library: templates to exchange elements in; its crystals of the same composition are told as known.
        reference: that relaxed crystals are judged against.
        work: folder that keeps finished relaxations; None: none is kept.

    Raises:
        UserError: on a formula that cannot be read, elements that nothing is known of, a composition that no source
            has a candidate for, an engine that is not installed, or a reference that the energies do not fit.
    """
    settings = settings or PredictSettings()
    wanted = asked(formulas)
    if not wanted:
        raise UserError("no formula is given; give one, such as LiFePO4")
    for each in wanted:
        _refuse_unknown(each, library)
    engine, notes = _engine(settings)
    if reference and engine is None:
        raise UserError("a reference judges relaxed crystals, and none is relaxed; name an engine, such as chgnet")
    if reference and engine:
        refuse_strangers(energy_type_of(RelaxSettings(engine=engine)), reference)  # type: ignore[arg-type]
    filled = _filled(wanted, library, settings)
    notes += [note for pool in filled for note in pool.notes]
    rejected = [row for pool in filled for row in pool.rejected]
    crystals = [crystal for pool in filled for crystal in pool.crystals]
    owner = {crystal.material_id: pool.asked for pool in filled for crystal in pool.crystals}
    known = _known(crystals, library)
    table = _table(crystals, owner, known, settings, library)
    relaxed = _relaxed(table, engine, settings, work) if engine else None
    if relaxed is not None:
        rejected += _copies_after(relaxed, owner)
        gone = {row.material_id for row in rejected}
        stay = [row for row, material_id in enumerate(table.material_ids) if material_id not in gone]
        table, relaxed = table.take(stay), relaxed.take(stay)
    hulls = {reference.name: Hulls(reference)} if reference else {}
    final, initial = ranked(table, relaxed, hulls)
    return Prediction(wanted, final, initial, _templates_of(final, library), rejected, notes)


def _filled(wanted: Sequence[Asked], library: Templates, settings: PredictSettings) -> list[Pool]:
    """Candidates of each composition."""
    substitution, count = Substitution(library), settings.count
    quota = pools.quotas(settings.sources, count)
    found = [_candidates(substitution, of, count) if SUBSTITUTION in quota else [] for of in wanted]
    filled = [Pool(of) for of in wanted]
    streams = [pools.substituted(substitution, of, each) for of, each in zip(wanted, found, strict=True)]
    for pool, stream in zip(filled, streams, strict=True):
        pool.fill(stream, SUBSTITUTION, quota.get(SUBSTITUTION, 0))
        if SUBSTITUTION in quota and not pool.crystals:
            pool.notes.append(_no_template(pool.asked, library, settings))
    if MODEL in quota:
        _fill_by_model(filled, found, quota, settings)
    for pool, candidates, stream in zip(filled, found, streams, strict=True):
        if RANDOM in quota:
            cells = pools.cells_of(pool, candidates, pools.RANDOM_ATOMS)
            made = pools.random_crystals(pool.asked, cells, count - len(pool.crystals), settings.seed) if cells else []
            pool.fill(made, RANDOM, count)
        pool.fill(stream, SUBSTITUTION, count)
        if not pool.crystals:
            raise UserError(_nothing(pool, settings))
    return filled


def _candidates(substitution: Substitution, of: Asked, count: int) -> list[Candidate]:
    found = substitution.candidates(of.counts, FURTHER * count, any_units=of.units == 1)
    n_atoms = substitution.templates.table.n_atoms
    usable = [each for each in found if n_atoms[each.row] <= MAX_ATOMS]
    return sorted(usable, key=lambda each: each.distance > 0)  # known ones first, else as they were


def _fill_by_model(
    filled: Sequence[Pool], found: Sequence[Sequence[Candidate]], quota: dict[str, int], settings: PredictSettings
) -> None:
    most = sampled.max_atoms(settings.pretrained)
    requests: list[list[tuple[str, int]]] = []
    wanted: list[int] = []
    for pool, candidates in zip(filled, found, strict=True):
        lacking = settings.count - len(pool.crystals)
        share = lacking * pools.WEIGHTS[MODEL] // sum(pools.WEIGHTS[each] for each in quota if each != SUBSTITUTION)
        cells = pools.cells_of(pool, candidates, most)
        if not cells:
            pool.notes.append(
                f"{pool.asked.formula}: its {sum(pool.asked.counts.values())} atoms are more than the {most} of the"
                f" largest crystal that the model {settings.pretrained} was trained on; it makes none"
            )
        requests.append(pools.requests_of(pool.asked, cells, share) if cells and share else [])
        wanted.append(len(pool.crystals) + share)
    made = pools.sampled_crystals(filled, requests, settings.pretrained, settings.seed)
    for pool, crystals, most_of in zip(filled, made, wanted, strict=True):
        pool.fill(crystals, MODEL, most_of)


def _refuse_unknown(of: Asked, library: Templates) -> None:
    unknown = sorted(set(of.counts) - library.elements - LEARNED)
    if unknown:
        symbols = ", ".join(SYMBOLS[z - 1] for z in unknown)
        raise UserError(
            f"{of.formula}: no template ({library.name}) holds {symbols}, and no model that ships has learned of it;"
            " name templates that hold it (--templates)"
        )


def anonymous(of: Asked) -> str:
    """Anonymous formula, such as ABC4."""
    counts, _, _ = reduced_counts(of.counts)
    return "".join(f"{letter}{n if n > 1 else ''}" for letter, n in zip("ABCDEFGHI", counts, strict=False))


def _no_template(of: Asked, library: Templates, settings: PredictSettings) -> str:
    others = [each for each in settings.sources if each != SUBSTITUTION]
    instead = f"; its candidates come from the {' and the '.join(others)}" if others else ""
    return f"{of.formula}: {library.name} has no template {anonymous(of)}{instead}"


def _nothing(pool: Pool, settings: PredictSettings) -> str:
    why = "; ".join(note.removeprefix(f"{pool.asked.formula}: ").split(";")[0] for note in pool.notes)
    if not why and pool.rejected:
        why = f"all {len(pool.rejected)} that were made are no crystals ({pool.rejected[0].reason})"
    return (
        f"{pool.asked.formula}: no candidate ({why or 'no source made one'}); name a dataset or table with such"
        " crystals (--templates), or a random search (--from random)"
    )


def _engine(settings: PredictSettings) -> tuple[str | None, list[str]]:
    """Force field to relax with, and what to say where there is none."""
    if settings.engine == "none":
        return None, []
    name = "chgnet" if settings.engine == "auto" else settings.engine
    if name not in FORCE_FIELDS:
        raise UserError(f"engine {name!r} is no force field; there are: none, {', '.join(FORCE_FIELDS)}")
    try:
        demand_installed(name)
    except UserError as error:
        if settings.engine != "auto":
            raise
        return None, [f"nothing is relaxed, and candidates are ranked without energies: {error}"]
    return name, []


def _known(crystals: Sequence[Crystal], library: Templates) -> dict[str, str]:
    """Id of the crystal of the library that a candidate is, by the candidate's id."""
    systems = {_elements(crystal) for crystal in crystals}
    table = library.table
    numbers, offsets = table.flat_atomic_numbers, table.atom_offsets
    rows = [row for row in range(len(table)) if frozenset(numbers[offsets[row] : offsets[row + 1]].tolist()) in systems]
    bare = [dataclasses.replace(crystal, properties={}) for crystal in crystals]
    others = [dataclasses.replace(table[row], properties={}) for row in rows]
    found = matching.matches_known(bare, others) if others else []
    return {crystal.material_id: match for crystal, match in zip(crystals, found, strict=False) if match}


def _elements(crystal: Crystal) -> frozenset[int]:
    return frozenset(crystal.atomic_numbers.tolist())


def _table(
    crystals: Sequence[Crystal],
    owner: dict[str, Asked],
    known: dict[str, str],
    settings: PredictSettings,
    library: Templates,
) -> CrystalTable:
    described = [
        dataclasses.replace(
            crystal,
            properties={
                **crystal.properties,
                "requested_formula": owner[crystal.material_id].name,
                "known": known.get(crystal.material_id),
            },
        )
        for crystal in crystals
    ]
    about: dict[str, Any] = {"predict": as_dict(settings), "templates": library.name}
    return from_crystals(described, fields=FIELDS, made_by="predict", source="predicted", **about)


def _relaxed(table: CrystalTable, engine: str, settings: PredictSettings, work: str | Path | None) -> CrystalTable:
    wanted = RelaxSettings(engine=engine, fmax=settings.fmax, max_steps=settings.max_steps)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory(prefix="unimat-") as scratch:
        return relax_shard(table, wanted, Path(work or scratch), "predict")


def _copies_after(relaxed: CrystalTable, owner: dict[str, Asked]) -> list[Rejected]:
    """Rows of converged crystals that relaxed into a lower one."""
    crystals = [crystal for crystal in relaxed if crystal.properties["converged"]]
    crystals.sort(key=lambda crystal: crystal.properties["energy_per_atom"])
    labels = matching.clusters([dataclasses.replace(crystal, properties={}) for crystal in crystals])
    lowest: dict[tuple[str, int], Crystal] = {}
    found = []
    for label, crystal in zip(labels, crystals, strict=True):
        key = owner[crystal.material_id].name, label
        if (kept := lowest.setdefault(key, crystal)) is not crystal:
            found.append(copy_of(crystal, kept, "relaxation"))
    return found


def _templates_of(table: CrystalTable, library: Templates) -> CrystalTable:
    ids = {material_id for material_id in table.column("template").tolist() if material_id is not None}
    return library.table.take([row for row, each in enumerate(library.material_ids) if each in ids])
