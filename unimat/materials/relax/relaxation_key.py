"""The key by which a finished relaxation is found again: a function of the crystal, the engine and its settings."""

import hashlib
import json
from typing import Any

import numpy as np

from unimat.crystal_table import Crystal
from unimat.materials.relax.engine import energy_type_of
from unimat.materials.relax.force_fields import settings as force_field_settings
from unimat.materials.relax.force_fields.known import FORCE_FIELDS
from unimat.materials.relax.gpaw.settings import GPAW_WITHOUT_EFFECT
from unimat.materials.relax.settings import VASP_WITHOUT_EFFECT, RelaxSettings
from unimat.settings import as_dict

OF_ALL = ("engine", "min_distance", "min_volume_per_atom")
OF_ASE = ("fmax", "max_steps", "optimizer")  # VASP stops by rules of its own
WITHOUT_EFFECT = {
    "vasp": VASP_WITHOUT_EFFECT,
    "gpaw": GPAW_WITHOUT_EFFECT,
    "force_field": force_field_settings.WITHOUT_EFFECT,
}


def settings_text(settings: RelaxSettings) -> bytes:
    """All settings that bear on a result, and the engine's version, as far as it is known before it runs.

    A newer force field, or another file of weights under the same name, is another engine. VASP's version stands in its
    outputs only.
    """
    given, section = as_dict(settings), "force_field" if settings.engine in FORCE_FIELDS else settings.engine
    relevant: dict[str, Any] = {name: given[name] for name in OF_ALL}
    relevant[section] = {key: value for key, value in given[section].items() if key not in WITHOUT_EFFECT[section]}
    if section != "vasp":
        relevant |= {name: given[name] for name in OF_ASE} | {"calculator": energy_type_of(settings)["calculator"]}
    if section == "force_field":
        relevant["max_seconds"] = given["max_seconds"]
    return json.dumps(relevant, sort_keys=True).encode()


def content_key(crystal: Crystal, settings: bytes) -> str:
    """SHA-256 of the crystal's structure and of `settings_text`; ids and properties do not matter."""
    digest = hashlib.sha256(settings)
    for array, kind in ((crystal.lattice, "f8"), (crystal.atomic_numbers, "i8"), (crystal.frac_coords, "f8")):
        digest.update(np.ascontiguousarray(array, kind).tobytes())
    return digest.hexdigest()
