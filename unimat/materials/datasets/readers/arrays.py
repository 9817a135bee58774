"""Forms that already are numbers: ASE's atoms, and the tensors that CDVAE and DiffCSP save."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from unimat.crystal_table import Crystal
from unimat.distributions import imported
from unimat.errors import CrystalRejected, UserError
from unimat.materials.crystals.lattices import lattice_matrix
from unimat.materials.datasets.readers.records import Columns, Record

_TENSORS = ("frac_coords", "num_atoms", "atom_types", "lengths", "angles")


def scaled_positions(atoms: Any) -> np.ndarray:
    """(n, 3) fractional coordinates of ASE's atoms as they are, not wrapped into the cell; NaN where there is none."""
    if not abs(np.linalg.det(atoms.cell.array)) > 1e-9:
        return np.full((len(atoms), 3), np.nan)  # no cell: refused by the check that every crystal passes
    return atoms.get_scaled_positions(wrap=False)


def plain_value(value: Any) -> Any:
    """`value` without numpy: what a process hands to another should need little to unpack."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def tensor_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Crystals of a .pt file of CDVAE or DiffCSP: one flat batch, or evaluations x batch of which all are read.

    Raises:
        UserError: if torch is missing, the file needs unpickling of code, or a tensor is missing.
    """
    torch = imported("torch", "torch", f"{path}: reading .pt files needs torch; pip install 'unimat[chgnet]'")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError and more for a broken file
        raise UserError(f"{path} is not readable as plain tensors ({type(error).__name__}); save it again") from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path} holds a {type(content).__name__}, not named tensors {', '.join(_TENSORS)}; save it again"
        )
    missing = [name for name in _TENSORS if not isinstance(content.get(name), torch.Tensor)]
    if missing:
        raise UserError(f"{path}: no tensor {missing[0]!r}; expected {', '.join(_TENSORS)}")
    arrays = {name: _array(content[name]) for name in _TENSORS}
    told = _told(content, columns)
    if arrays["num_atoms"].ndim == 1:
        arrays = {name: array[None] for name, array in arrays.items()}
    _refuse_misfits(path, arrays)
    stem = path.name.split(".")[0]
    for evaluation in range(len(arrays["num_atoms"])):
        batch = {name: array[evaluation] for name, array in arrays.items()}
        prefix = stem if len(arrays["num_atoms"]) == 1 else f"{stem}-{evaluation}"
        yield from _batch_records(path.name, prefix, batch, told)


def _array(tensor: Any) -> np.ndarray:
    tensor = tensor.detach()
    tensor = tensor.to_dense() if tensor.is_sparse else tensor
    return (tensor.double() if tensor.is_floating_point() else tensor).numpy()


def _refuse_misfits(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """UserError on tensors (evaluations, ...) that are not what the form says, or do not fit each other."""
    counts, types = arrays["num_atoms"], arrays["atom_types"]
    if counts.ndim != 2:
        raise UserError(f"{path}: num_atoms has {counts.ndim} axes; expected one, or evaluations and crystals")
    for name, array in (("num_atoms", counts), ("atom_types", types)):
        if array.ndim != 2 or not np.array_equal(array, np.rint(array)) or (array < 0).any():
            raise UserError(
                f"{path}: {name} of shape {array.shape} are not whole numbers, one for each "
                f"{'crystal' if name == 'num_atoms' else 'atom (atomic numbers, not scores)'}; save them so"
            )
    n_evaluations, n_crystals = counts.shape
    due: dict[str, tuple[int, ...]] = {
        "lengths": (n_evaluations, n_crystals, 3),
        "angles": (n_evaluations, n_crystals, 3),
    }
    due |= {"frac_coords": (n_evaluations, types.shape[1], 3), "atom_types": (n_evaluations, types.shape[1])}
    for name, shape in due.items():
        if arrays[name].shape != shape:
            raise UserError(f"{path}: {name} has the shape {arrays[name].shape}, the other tensors need {shape}")
    if (arrays["angles"] < 2 * np.pi).all():
        raise UserError(f"{path}: no angle is above {2 * np.pi:.2f} degrees; these are radians, save degrees")


def _told(content: dict[str, Any], columns: Columns) -> list[tuple[str, dict[str, Any]]]:
    """Id and properties of each crystal of a file that `unimat convert` wrote; nothing of CDVAE's own."""
    ids, properties = content.get("material_ids"), content.get("properties")
    if not isinstance(ids, list) or not isinstance(properties, dict) or content["num_atoms"].numel() != len(ids):
        return []
    wanted = [(name, properties.get(name)) for name in columns.properties]
    values = [(name, each) for name, each in wanted if isinstance(each, list) and len(each) == len(ids)]
    return [(str(name), {key: each[row] for key, each in values}) for row, name in enumerate(ids)]


def _batch_records(
    origin: str, prefix: str, batch: dict[str, np.ndarray], told: list[tuple[str, dict[str, Any]]]
) -> Iterator[Record]:
    counts = batch["num_atoms"].astype(np.int64)
    if counts.sum() != len(batch["atom_types"]):
        raise UserError(f"{origin}: num_atoms sum to {counts.sum()}, but there are {len(batch['atom_types'])} atoms")
    ends = np.cumsum(counts)
    for index, (start, end) in enumerate(zip(ends - counts, ends, strict=True)):
        material_id, properties = told[index] if told else (f"{prefix}-{index}", {})
        lattice = _lattice_or_nan(batch["lengths"][index], batch["angles"][index])
        numbers, coords = batch["atom_types"][start:end], batch["frac_coords"][start:end]
        crystal = Crystal(material_id, lattice, numbers.astype(np.int64), coords.astype(np.float64))
        yield Record(material_id, f"{origin}:{prefix}-{index}", crystal, None, properties)


def _lattice_or_nan(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    try:
        return lattice_matrix(lengths, angles)
    except CrystalRejected:  # refused, with its row, by the check that every crystal passes
        return np.full((3, 3), np.nan)
