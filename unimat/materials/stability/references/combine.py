"""Several references as one, where their energies may meet; refused by name where they may not."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from unimat.errors import UserError
from unimat.materials.stability.references import pseudopotentials as potentials
from unimat.materials.stability.references.entries import Entries, in_schema
from unimat.materials.stability.references.lost import added, systems_of
from unimat.materials.stability.references.reference import Reference, scheme_of, version_of

log = logging.getLogger("unimat.reference")

FIRST = 3  # ids that a refusal names
SAME_ENERGY = 1e-6  # eV/atom


def combined(parts: Mapping[str, Reference], name: str) -> Reference:
    """Phases of all parts on one scale, each with the name of its part as `source`.

    Entries of GNoME and of the Materials Project share a hull only after the latter have been shifted, once.

    Raises:
        UserError: if functional, corrections or calculator of the parts do not fit each other, or an id stands for two
            energies.
    """
    _refuse_quantities(parts, name)
    tables = [in_schema(part.entries.table) for part in parts.values()]
    table = pa.concat_tables([each.replace_schema_metadata(None) for each in tables]).unify_dictionaries()
    if potentials.scales_of(table) == {potentials.GNOME, potentials.MATERIALS_PROJECT}:
        table = potentials.on_one_scale(table.combine_chunks(), potentials.GNOME)
    refuse_mixture(table, name)
    table, repeated = _without_repeats(table, name)
    return Reference(
        name=name,
        entries=Entries(table),
        energy_type=_energy_type(list(parts.values()), table),
        source="; ".join(f"{each}: {part.source}" for each, part in parts.items()),
        licence="; ".join(sorted({part.licence for part in parts.values()} - {""})),
        details=_details(parts, repeated),
    )


def refuse_mixture(table: pa.Table, name: str) -> None:
    """UserError if the entries mix functionals, correction schemes, or calculators that do not share a scale."""
    for column, family in (("functional", str), ("correction_scheme", str), ("calculator", family_of)):
        values = table[column].combine_chunks().dictionary_decode().to_pandas().dropna()
        groups = values.groupby(values.map({value: family(value) for value in values.unique()}))
        if groups.ngroups < 2:
            continue
        found = [
            f"{group} ({len(rows)} entries: {', '.join(table['entry_id'].take(list(rows.index[:FIRST])).to_pylist())})"
            for group, rows in groups
        ]
        raise UserError(
            f"hull reference {name!r} mixes entries of different {column.replace('_', ' ')}: {'; '.join(found)};"
            " their energies do not share a scale, take sources that do"
        )


def family_of(calculator: str) -> str:
    """First word of a calculator's name: energies by one code at the same settings share a scale, whoever ran it."""
    return calculator.replace(",", " ").split()[0]


def _refuse_quantities(parts: Mapping[str, Reference], name: str) -> None:
    for key, what in (("quantity", "quantities"), ("numerics", "numerics")):
        found = {part: reference.energy_type.get(key) for part, reference in parts.items()}
        if len(set(found.values())) > 1:
            words = "; ".join(f"{part}: {value}" for part, value in found.items())
            raise UserError(f"hull reference {name!r} mixes {what}: {words}; take sources of the same")


def _without_repeats(table: pa.Table, name: str) -> tuple[pa.Table, list[tuple[str, str]]]:
    """The table with every entry once, and what was left out.

    Raises:
        UserError: if an id stands for two energies.
    """
    frame = pd.DataFrame(
        {
            "entry_id": table["entry_id"].to_pandas(),
            "energy": np.asarray(table["energy_per_atom"]),
            "source": table["source"].combine_chunks().dictionary_decode().to_pandas(),
        }
    )
    again = frame["entry_id"].duplicated()
    if not again.any():
        return table, []
    spread = frame[frame["entry_id"].isin(frame["entry_id"][again])].groupby("entry_id")["energy"].agg(["min", "max"])
    different = spread[spread["max"] - spread["min"] > SAME_ENERGY]
    if len(different):
        entry_id = str(different.index[0])
        rows = frame[frame["entry_id"] == entry_id]
        told = " and ".join(f"{row.energy:.6f} eV/atom ({row.source})" for row in rows.itertuples())
        raise UserError(
            f"hull reference {name!r}: {len(different)} ids stand for two energies, such as {entry_id}: {told}; leave"
            " one of the sources out"
        )
    dropped = [(str(entry_id), "the same entry once more") for entry_id in frame["entry_id"][again]]
    return table.filter(pa.array(~again.to_numpy())), dropped


def _energy_type(parts: Sequence[Reference], table: pa.Table) -> dict[str, str]:
    """What holds for the energies of all parts, with the versions and calculators that differ side by side."""
    first = parts[0].energy_type
    schemes = {scheme_of(part.energy_type) for part in parts if _has_scheme(part)} or {scheme_of(first)}
    versions = _distinct(version_of(part.energy_type) for part in parts)
    if len(versions) > 1:
        log.warning("corrections %s of different versions meet in one hull: %s", *schemes, "; ".join(versions))
    return {
        **first,
        "calculator": " and ".join(_distinct(part.energy_type.get("calculator") for part in parts)),
        **({"corrections": str(next(iter(schemes)))} if schemes != {None} else {}),
        **({"correction_version": " and ".join(versions)} if versions else {}),
        **({"pseudopotentials": " and ".join(sorted(scales))} if (scales := potentials.scales_of(table)) else {}),
    }


def _has_scheme(part: Reference) -> bool:
    return bool(pc.any(pc.is_valid(part.entries.table["correction_scheme"])).as_py())


def _distinct(values: Any) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))


def _guessed(details: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return added([each.get("guessed_from_formula", {}) for each in details])


def _details(parts: Mapping[str, Reference], repeated: list[tuple[str, str]]) -> dict[str, Any]:
    details = [part.details for part in parts.values()]
    counts = [each.get("n_dropped", len(each.get("dropped", []))) for each in details]
    return {
        "n_dropped": sum(counts) + len(repeated),
        "inputs": {name: digest for each in details for name, digest in each.get("inputs", {}).items()},
        "dropped": [row for each in details for row in each.get("dropped", [])] + repeated,
        "lost": [row for each in details for row in each.get("lost", [])],
        "lost_systems": added([systems_of(each) for each in details]),
        **({"guessed_from_formula": guessed} if (guessed := _guessed(details)) else {}),
    }
