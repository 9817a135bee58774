"""Relaxations as jobflow flows in files, one for each crystal, for jobflow's managers on other machines.

A flow is of atomate2's makers alone, so that a worker needs atomate2 and the engine, not this package. Its jobs carry
metadata by which `flows_collect` finds their documents: material_id, content_key, engine, stage, set and run.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobflow import Flow
from monty.json import MontyDecoder, MontyEncoder

from unimat.crystal_table import Crystal, CrystalTable
from unimat.errors import UserError
from unimat.files import read_json, write_json, write_text
from unimat.materials.crystals.structures import to_structure
from unimat.materials.relax.engine import make_engine
from unimat.materials.relax.force_fields.known import FORCE_FIELDS, unknown_elements
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.relax.shard import content_key, settings_text, why_hopeless

log = logging.getLogger("unimat.flows")

OWN_CODE = '"unimat.materials'  # atomate2 has no calculator of every force field
INDEX = "flows.json"  # of the crystals: material_id, content_key, and file or reason


def export_flows(
    table: CrystalTable, settings: RelaxSettings, out: Path, labels: dict[str, str], finished: Any = ()
) -> list[dict[str, Any]]:
    """Write a flow for each crystal that is worth relaxing; what became of every row, as `flows.json` holds it.

    A flow that is there already is left as it is, with the identifiers of its jobs, lest it run twice.

    Args:
        labels: metadata beside that of the crystal.
        finished: content keys that need no flow (a journal).

    Raises:
        UserError: if the engine has no flow of atomate2's makers alone.
    """
    engine = make_engine(settings)
    if not hasattr(engine, "flow") or not hasattr(engine, "outcome"):
        raise UserError(f"relax.engine {settings.engine!r} cannot be exported as flows; take `unimat relax`")
    text = settings_text(settings)
    rows = []
    for crystal in table:
        key = content_key(crystal, text)
        row = {"material_id": crystal.material_id, "content_key": key}
        if reason := why_not(crystal, settings) or ("already relaxed" if key in finished else None):
            rows.append({**row, "reason": reason})
        else:
            rows.append({**row, "file": _export(crystal, engine, out, row | labels)})
    write_json(out / INDEX, rows)
    return rows


def read_flow(path: Path) -> Flow:
    """The flow of a file, to be run or submitted."""
    return MontyDecoder().process_decoded(read_json(path))


def _export(crystal: Crystal, engine: Any, out: Path, metadata: dict[str, str]) -> str:
    """Name of the crystal's file in `out`."""
    path = out / f"{metadata['content_key'][:16]}.json"
    if not path.exists():
        flow = labelled_flow(engine, crystal, {**metadata, "engine": engine.settings.engine})
        text = json.dumps(flow.as_dict(), cls=MontyEncoder)
        if OWN_CODE in text:
            log.warning("%s: this flow needs the package unimat on the worker", path)
        write_text(path, text)
    return path.name


def why_not(crystal: Crystal, settings: RelaxSettings) -> str | None:
    """Why no flow is made of a crystal, if so: its atoms overlap, say, or the force field does not know an element."""
    if hopeless := why_hopeless(crystal, settings):
        return hopeless
    if settings.engine not in FORCE_FIELDS or settings.force_field.model is not None:
        return None
    symbols = {element.symbol for element in to_structure(crystal).composition.elements}
    unknown = unknown_elements(settings.engine, symbols)
    label = FORCE_FIELDS[settings.engine].label
    return f"not relaxed, {label} was not trained on: {', '.join(unknown)}" if unknown else None


def labelled_flow(engine: Any, crystal: Crystal, metadata: Mapping[str, str]) -> Flow:
    """The engine's flow of a crystal, each job with the metadata and its stage's name."""
    made = engine.flow(to_structure(crystal))
    flow = made if isinstance(made, Flow) else Flow([made], output=made.output)
    flow.name = f"{crystal.material_id} {metadata['engine']}"
    for (job, _), stage in zip(flow.iterflow(), engine.stage_names, strict=True):
        job.update_metadata({**metadata, "stage": stage})
    return flow
