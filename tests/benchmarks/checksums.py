"""What the checksums of tables and of encoded crystals cost.

A table of 10,000 made-up crystals of 2 to 20 atoms is written and read with checksums and, as the baseline, without;
it is read into memory, the least that any command does with it, and crystal by crystal. The same crystals, encoded, are
opened as a training opens them. Times are processor times.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
from harness import Figure, finish

from unimat import crystal_table, parquet
from unimat.crystal_table import Crystal, CrystalTable
from unimat.files import whole_file
from unimat.model.representation import shards
from unimat.model.representation.encode_stream import encode_dataset
from unimat.model.settings import EncodeSettings


def made_up(n: int) -> CrystalTable:
    rng, crystals = np.random.default_rng(0), []
    for row, size in enumerate(rng.integers(2, 21, n)):
        lattice, numbers = np.diag(rng.uniform(3, 9, 3)), rng.integers(1, 84, size)
        crystals.append(Crystal(f"c-{row}", lattice, numbers, rng.random((size, 3)), {"e": float(rng.normal())}))
    return crystal_table.from_crystals(crystals)


def timed(works: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Least processor time of each, ms, tried in turns: what else the machine does falls on all of them alike."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, own in zip(works, times, strict=True):
            start = time.process_time()
            work()
            own.append(1000 * (time.process_time() - start))
    return [min(own) for own in times]


def write_plain(table: CrystalTable, path: Path) -> None:
    with whole_file(path) as unfinished:
        pq.write_table(table.with_metadata().arrow, unfinished, compression="zstd")


def read(path: Path) -> CrystalTable:
    parquet._check.cache_clear()  # a command opens a file for the first time
    return crystal_table.read(path)


def read_plain(path: Path) -> CrystalTable:
    with mock.patch("unimat.parquet.check"):
        return crystal_table.read(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000, help="crystals (default: 10000)")
    parser.add_argument("--repeats", type=int, default=15, help="of which the fastest counts (default: 15)")
    args = parser.parse_args()
    table = made_up(args.n)
    with tempfile.TemporaryDirectory() as scratch:
        sealed, plain, encoded = (Path(scratch, name) for name in ("sealed.parquet", "plain.parquet", "encoded"))
        pairs = [
            (lambda: crystal_table.write(table, sealed), lambda: write_plain(table, plain)),
            (lambda: read(sealed), lambda: read_plain(plain)),
            (lambda: list(read(sealed)), lambda: list(read_plain(plain))),
        ]
        writing, reading, crystals = (timed(pair, args.repeats) for pair in pairs)
        few = table.take(range(10))
        encode_dataset({"train": [table], "val": [few], "test": [few]}, EncodeSettings(), encoded)
        digests = {shard.name: shard.sha256 for shard in shards.read_index(encoded, "train").files}
        opened = timed([lambda: shards.EncodedSplit(encoded, "train")], args.repeats)
        with mock.patch("unimat.model.representation.shards.sha256", lambda path: digests[path.name]):
            opened += timed([lambda: shards.EncodedSplit(encoded, "train")], args.repeats)
    share = 100 * (crystals[0] / crystals[1] - 1)
    finish(
        "checksums",
        [
            Figure(f"write a table of {args.n} crystals", writing[0], "ms", 1.1 * writing[1], writing[1]),
            Figure("read it into memory", reading[0], "ms", None, reading[1]),
            Figure("read it crystal by crystal", crystals[0], "ms", 1.05 * crystals[1], crystals[1]),
            Figure("share that checksums add to that", share, "%", 5),
            Figure("open the same crystals, encoded", opened[0], "ms", None, opened[1]),
        ],
    )


if __name__ == "__main__":
    main()
