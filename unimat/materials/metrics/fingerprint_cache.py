"""A folder that keeps fingerprints: Parquet files, one for each batch that was computed, read all together.

A batch is never changed, so several commands may share a folder at the same time.
"""

import dataclasses
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unimat.files import written_whole

log = logging.getLogger("unimat.metrics")

_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("structure", pa.list_(pa.float64())),
        pa.field("composition", pa.list_(pa.float64())),
        pa.field("failure", pa.string()),
        pa.field("n_by_matminer", pa.int32(), nullable=False),
    ]
)


@dataclasses.dataclass(frozen=True)
class Row:
    """Fingerprints of one crystal, not standardised, or why there are none.

    Attributes:
        structure: (61,) float64.
        composition: (132,) float64.
        n_by_matminer: atoms that were left to matminer itself.
    """

    structure: np.ndarray
    composition: np.ndarray
    failure: str | None = None
    n_by_matminer: int = 0


def load(folder: str | Path, versions: Mapping[str, str]) -> dict[str, Row]:
    """All rows kept in `folder` that were made by `versions` of the libraries; a broken file is passed over."""
    rows: dict[str, Row] = {}
    for path in sorted(_folder(folder, versions).glob("*.parquet")):
        try:
            batch = pq.read_table(path, schema=_SCHEMA).to_pylist()
        except (pa.ArrowException, OSError) as error:
            log.warning("%s is not readable, its fingerprints are computed again (%s)", path, error)
            continue
        for row in batch:
            arrays = np.array(row["structure"]), np.array(row["composition"])
            rows[row["key"]] = Row(*arrays, row["failure"], row["n_by_matminer"])
    return rows


def store(folder: str | Path, versions: Mapping[str, str], rows: Mapping[str, Row]) -> None:
    """Add `rows` to `folder` as a file of their own."""
    columns = [{"key": key, **dataclasses.asdict(row)} for key, row in sorted(rows.items())]
    name = hashlib.sha256("".join(sorted(rows)).encode()).hexdigest()[:16]
    with written_whole(_folder(folder, versions) / f"{name}.parquet") as unfinished:
        pq.write_table(pa.Table.from_pylist(columns, schema=_SCHEMA), unfinished, compression="zstd")


def _folder(folder: str | Path, versions: Mapping[str, str]) -> Path:
    return Path(folder) / "_".join(f"{name}-{number}" for name, number in sorted(versions.items()))
