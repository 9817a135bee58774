"""ASE's .traj files, image by image."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unimat.crystal_table import Crystal
from unimat.errors import CrystalRejected, UserError
from unimat.materials.datasets.readers.arrays import plain_value, scaled_positions
from unimat.materials.datasets.readers.opening import one_line
from unimat.materials.datasets.readers.records import Columns, Record
from unimat.materials.datasets.readers.stated import stated_of
from unimat.materials.datasets.settings import SPLITS

_MAGIC = b"- of Ulm"


def trajectory_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Every image of a trajectory is a crystal: those of a relaxation, too, of which somebody may want the last alone.

    Ids are `material_id` among an image's info, or made of its number; properties are its info and the results of its
    calculator.

    Raises:
        UserError: if the file is no trajectory of ASE, or broken as a whole.
    """
    from ase.io.trajectory import TrajectoryReader

    with path.open("rb") as stream:
        is_trajectory = stream.read(len(_MAGIC)) == _MAGIC
    if not is_trajectory:
        raise UserError(f"{path} is no trajectory of ASE; save it as extxyz")
    try:
        images = TrajectoryReader(path)
        n_images = len(images)
    except Exception as error:  # ASE's reader raises nearly every built-in exception on a malformed file
        raise UserError(
            f"{path} is not readable as a trajectory ({one_line(error)}: truncated?); get it again"
        ) from error
    with images:
        for index in range(n_images):
            yield _record(path, index, images, columns)


def _record(path: Path, index: int, images: Any, columns: Columns) -> Record:
    material_id, origin = f"{path.name.split('.')[0]}-{index}", f"{path.name}:{index}"
    try:
        atoms = images[index]
        material_id = str(atoms.info.get(columns.material_id or "material_id", material_id))
        crystal = Crystal(material_id, atoms.cell.array, atoms.numbers, scaled_positions(atoms))
    except Exception as error:  # as above
        return Record(material_id, origin, CrystalRejected("unreadable", f"traj: {one_line(error)}"))
    found = {**(atoms.calc.results if atoms.calc else {}), **atoms.info}
    split = found.get("split")
    properties = {each: plain_value(found.get(each)) for each in columns.properties}
    stated = {"pbc": atoms.pbc.tolist(), **stated_of([atoms.info, atoms.arrays])}
    return Record(material_id, origin, crystal, split if split in SPLITS else None, properties, stated)
