"""Finished documents of a job store as results of `unimat relax`: into its journal, and into a relaxed table."""

import collections
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from monty.json import MontyDecoder

from unimat.crystal_table import Crystal, CrystalTable
from unimat.errors import UserError
from unimat.materials.crystals.structures import to_structure
from unimat.materials.relax.engine import Relaxation, make_engine
from unimat.materials.relax.flows.export import why_not
from unimat.materials.relax.jobs.context import embedded_folder
from unimat.materials.relax.jobs.store import open_store
from unimat.materials.relax.jobs.store_names import EMBEDDED, MEMORY, check_store_name, chosen_store
from unimat.materials.relax.journal import Journal
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.relax.shard import content_key, finished_table, settings_text

log = logging.getLogger("unimat.collect")

AT_ONCE = 500  # crystals whose documents are asked for, and held in memory, together
KEY = "metadata.content_key"


def collect(
    table: CrystalTable, settings: RelaxSettings, stores: Sequence[Any], work: Path, shard: str
) -> CrystalTable:
    """The relaxed table as `relax_shard` makes it; a crystal without all of its documents is a row that says so.

    Args:
        stores: connected JobStores to look in.
        work: folder of finished results; what is found is added there, and what is there is not looked for.
        shard: name of the file there that is added to.
    """
    text, engine = settings_text(settings), make_engine(settings)
    all_keys = [content_key(crystal, text) for crystal in table]
    journal = Journal(work, shard, all_keys)
    missing = {key: crystal for key, crystal in zip(all_keys, table, strict=True) if key not in journal}
    waiting: dict[str, Relaxation] = {}
    for keys in _in_batches(list(missing)):
        documents = _documents(stores, keys)
        for key in keys:
            outcome = _outcome(missing[key], settings, engine, documents[key])
            if outcome.transient:
                waiting[key] = outcome
            else:
                journal.append(key, outcome, missing[key].material_id)
    finished, all_missing = len(missing) - len(waiting), len(missing)
    log.info("%d of %d crystals that were missing are finished, %d are not yet", finished, all_missing, len(waiting))
    outcomes = [waiting[key] if key in waiting else journal[key] for key in all_keys]
    return finished_table(table, outcomes, settings, engine.energy_type)


def stores_to_read(name: str | None, of_settings: str, work: Path) -> list[Any]:
    """The connected JobStores called `name`, or else those of the environment or of the settings.

    Raises:
        UserError: if there is none, or it cannot be used.
    """
    try:
        if name is not None:
            check_store_name(name)
        name = name or chosen_store(of_settings)
    except ValueError as error:
        raise UserError(str(error)) from None
    if name == MEMORY:
        raise UserError("which job store? name it by --store, UNIMAT_JOB_STORE or `store` of the settings")
    if name != EMBEDDED:
        return [open_store(name, work).jobs]
    folders = sorted(path for path in work.glob(embedded_folder(work, "*").name) if path.is_dir())
    if not folders:
        raise UserError(f"no embedded job store is in {work}; check --work, or name another --store")
    return [open_store(EMBEDDED, folder).jobs for folder in folders]


def _outcome(crystal: Crystal, settings: RelaxSettings, engine: Any, documents: list[dict[str, Any]]) -> Relaxation:
    if reason := why_not(crystal, settings):
        return Relaxation(None, failure=reason)
    chosen = newest(documents, engine.stage_names)
    lacking = [stage for stage in engine.stage_names if stage not in chosen]
    if lacking:
        found = f"{', '.join(chosen)} alone" if chosen else "none"
        return Relaxation(None, failure=f"not finished: of its jobs, the job store has {found}", transient=True)
    structure = to_structure(crystal)
    try:
        decoded = [MontyDecoder().process_decoded(chosen[stage]["output"]) for stage in engine.stage_names]
        return engine.outcome(structure, decoded)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # pydantic's and monty's among them
        what = " ".join(str(error).split())[:200]
        return Relaxation(None, failure=f"its documents cannot be read: {type(error).__name__}: {what}", transient=True)


def newest(documents: Iterable[dict[str, Any]], stages: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By stage, the documents of the newest flow that has all stages; else the newest of each, from whatever flow.

    `unimat relax` runs the stages one by one, each in a flow of its own.
    """
    flows: dict[str, dict[str, dict[str, Any]]] = collections.defaultdict(dict)
    newest_of_all: dict[str, dict[str, Any]] = {}
    for document in sorted(documents, key=lambda each: each["completed_at"] or ""):
        stage = document["metadata"].get("stage", stages[-1])
        flows[(document["hosts"] or [document["uuid"]])[-1]][stage] = document
        newest_of_all[stage] = document
    whole = [flow for flow in flows.values() if all(stage in flow for stage in stages)]
    if whole:
        return max(whole, key=lambda flow: flow[stages[-1]]["completed_at"] or "")
    # A stage without those before it belongs to another attempt.
    kept, last = {}, ""
    for stage in stages:
        found = newest_of_all.get(stage)
        if found is None or (found["completed_at"] or "") < last:
            break
        kept[stage], last = found, found["completed_at"] or ""
    return kept


def _documents(stores: Sequence[Any], keys: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Documents by content key, their large objects put back in."""
    found = collections.defaultdict(list)
    for store in stores:
        for document in store.query({KEY: {"$in": keys}}, load=True):
            found[document["metadata"]["content_key"]].append(document)
    return found


def _in_batches(keys: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), AT_ONCE):
        yield keys[start : start + AT_ONCE]
