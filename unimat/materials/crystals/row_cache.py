"""A folder that keeps what was computed of crystals: Parquet files, one for each batch, read all together.

Rows are found by a key made of the content that they were computed from; a folder below the cache's holds those of one
kind and one set of library versions. A batch is never changed, so several commands may share a cache at the same time.
"""

import dataclasses
import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from unimat import parquet
from unimat.errors import UserError

log = logging.getLogger("unimat.metrics")

KEY = pa.field("key", pa.string(), nullable=False)


@dataclasses.dataclass(frozen=True)
class RowCache:
    """Rows of one kind.

    Attributes:
        root: folder of the whole cache; None keeps nothing.
        kind: what the rows are, e.g. ``fingerprints``.
        versions: of everything that the numbers depend on besides the key's content.
        fields: columns beside the key.
    """

    root: str | Path | None
    kind: str
    versions: Mapping[str, str]
    fields: tuple[pa.Field, ...]

    @property
    def folder(self) -> Path | None:
        if self.root is None:
            return None
        made_by = "_".join(f"{name}-{number}" for name, number in sorted(self.versions.items()))
        return Path(self.root) / f"{self.kind}_{made_by}"

    def load(self, keys: Collection[str]) -> dict[str, dict[str, Any]]:
        """Kept rows of `keys`, lists as numpy arrays; a broken file is passed over."""
        wanted = pa.array(list(set(keys)), pa.string())
        rows: dict[str, dict[str, Any]] = {}
        for path in sorted(self.folder.glob("*.parquet")) if self.folder else ():
            try:
                table = parquet.read(path, self._schema.names).cast(self._schema)
            except (pa.ArrowException, UserError) as error:
                log.warning("%s is not readable, what it held is computed again (%s)", path, error)
                continue
            table = table.filter(pa.compute.is_in(table.column("key"), value_set=wanted))
            columns = [_values(table.column(field.name)) for field in self._schema]
            rows |= {
                row[0]: dict(zip(self._schema.names[1:], row[1:], strict=True)) for row in zip(*columns, strict=True)
            }
        return rows

    def store(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Add `rows`, by their key, as a file of their own."""
        if self.folder is None or not rows:
            return
        columns = [{"key": key, **row} for key, row in sorted(rows.items())]
        name = hashlib.sha256("".join(sorted(rows)).encode()).hexdigest()[:16]
        parquet.write(pa.Table.from_pylist(columns, schema=self._schema), self.folder / f"{name}.parquet")

    @property
    def _schema(self) -> pa.Schema:
        return pa.schema([KEY, *self.fields])


def _values(column: pa.ChunkedArray) -> Iterable[Any]:
    is_list = pa.types.is_list(column.type)
    return column.to_numpy(zero_copy_only=False) if is_list else column.to_pylist()
