"""Encoded crystals on disk, and the way of a batch from the shards to the dense tensor, against a training step.

The crystals are MP-20's validation and test splits if UNIMAT_DATA_DIR names a folder that holds them, and made up
otherwise; tensors have MP-20's shape (L = 20, 9 x 18) and the network is that of config/mp_20.yaml. Where Google's
Grain is installed, it reads the same shards in its own global shuffle. --scale encodes so many made-up crystals of up
to 60 atoms, and reads batches all over them.
"""

import argparse
import contextlib
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import yaml
from harness import ROOT, Figure, best_of, finish, peak_memory_mib, say

from unimat import crystal_stream, crystal_table
from unimat.crystal_table import STRUCTURE_FIELDS, Crystal, CrystalTable
from unimat.distributions import installed
from unimat.model import networks
from unimat.model.representation.channels import channel_map
from unimat.model.representation.encode_stream import encode_dataset
from unimat.model.representation.encoded import Encoding, read_encoding
from unimat.model.representation.shards import EncodedSplit
from unimat.model.representation.tensors import to_state
from unimat.model.settings import EncodeSettings, ModelSettings, TrainSettings
from unimat.model.training import train as training
from unimat.model.training.loader import AHEAD, Loader, read_ahead
from unimat.settings import load_settings

CONFIG = yaml.safe_load((ROOT / "config/mp_20.yaml").read_text(encoding="utf-8"))
BATCH = CONFIG["train"]["batch_size"]
TARGET_SHARE = 5.0  # % of a training step
N_ELEMENTS = 89  # as MP-20's
SCALE_ATOMS = 60  # of the largest crystals of --scale


def mp_20_crystals(folder: Path) -> Iterator[Crystal]:
    """Crystals of the validation and test splits, as their CIFs have them."""
    import gemmi
    import pyarrow.feather as feather

    for split in ("val", "test"):
        for index, text in enumerate(feather.read_table(folder / f"mp_20/{split}.feather").column("cif").to_pylist()):
            small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(text).sole_block())
            sites = small.get_all_unit_cell_sites()
            numbers = np.array([site.element.atomic_number for site in sites])
            coords = np.array([site.fract.tolist() for site in sites])
            yield Crystal(f"{split}-{index}", np.array(small.cell.orth.mat.tolist()).T, numbers, coords)


def made_up_table(n: int, max_atoms: int, rng: np.random.Generator, prefix: str = "made-up") -> CrystalTable:
    """Crystals of one to four elements and up to `max_atoms` atoms at random places in random cells."""
    n_atoms = rng.integers(1, max_atoms + 1, n)
    offsets = np.concatenate([[0], np.cumsum(n_atoms)]).astype(np.int32)
    crystal = np.repeat(np.arange(n), n_atoms)
    numbers = rng.integers(1, N_ELEMENTS + 1, (n, 4))[crystal, rng.integers(0, 4, len(crystal))].astype(np.int16)
    lattice = np.eye(3) * rng.uniform(3, 12, (n, 1, 3)) + rng.uniform(-1, 1, (n, 3, 3))
    columns = [
        pa.array([f"{prefix}-{index}" for index in range(n)]),
        pa.FixedSizeListArray.from_arrays(lattice.ravel(), 9),
        pa.ListArray.from_arrays(offsets, numbers),
        pa.ListArray.from_arrays(3 * offsets, rng.random(3 * len(crystal))),
    ]
    return CrystalTable(pa.Table.from_arrays(columns, schema=pa.schema(STRUCTURE_FIELDS)))


def encoded(path: Path, settings: EncodeSettings, folder: Path) -> Encoding:
    tables = {"train": crystal_stream.batches(path), "val": [], "test": []}
    return encode_dataset(tables, settings, folder, n_crystals=crystal_stream.n_rows(path))


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.arrow"))


def sizes_and_speed(table: CrystalTable, work: Path, repeats: int) -> list[Figure]:
    """Encode `table` into ``work/encoded`` with the settings of MP-20."""
    crystal_table.write(table, work / "table.parquet")
    settings = load_settings(EncodeSettings, CONFIG["encode"])
    seconds, encoding = best_of(lambda: encoded(work / "table.parquet", settings, work / "encoded"), repeats)
    n = encoding.n["train"]
    dense = 4 * 3 * int(np.prod(encoding.tensor_shape))
    return [
        Figure("encoded, from table to shards", n / seconds, "crystals/s", better="higher"),
        Figure(
            "size on disk (baseline: dense float32)", size_of(work / "encoded") / n, "B/crystal", None, float(dense)
        ),
    ]


def seconds_of_step(encoding: Encoding, loader: Loader, repeats: int) -> float:
    """One training step of MP-20's network on a batch that is there already."""
    model = load_settings(ModelSettings, CONFIG["model"])
    recipe = load_settings(TrainSettings, CONFIG["train"])
    network, optimizer = networks.build(model, encoding), training.make_optimizer(recipe)
    step = jax.jit(training.make_step(network, optimizer, encoding, model, recipe), donate_argnums=0)
    batch = loader.batch(0)
    state = jax.block_until_ready(step(training.initial_state(network, optimizer, 0), batch))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        state = jax.block_until_ready(step(state, batch))
        times.append(time.perf_counter() - start)
    return min(times)


def speeds(folder: Path, steps: int, repeats: int, step_repeats: int) -> list[Figure]:
    """Figures of the loader, of loader and scatter, and of their share in a step."""
    encoding, split = read_encoding(folder), EncodedSplit(folder, "train")
    loader = Loader(split, encoding.max_atoms, 0, BATCH)
    channels = channel_map(load_settings(ModelSettings, CONFIG["model"]))
    scatter = jax.jit(lambda batch: to_state(batch, encoding, channels))
    jax.block_until_ready(scatter(loader.batch(0)))

    def read() -> None:
        for _ in read_ahead(lambda step: split.batch(loader.rows(step), loader.width), range(steps)):
            pass

    def read_and_scattered() -> None:
        for step in range(steps):
            jax.block_until_ready(scatter(loader.batch(step)))

    read_time, _ = best_of(read, repeats)
    whole_time, _ = best_of(read_and_scattered, repeats)
    grain_time = best_of(lambda: through_grain(split, loader.width, steps), repeats)[0] if has_grain() else None
    rate = steps * BATCH / read_time
    other = steps * BATCH / grain_time if grain_time else None
    figures = [
        Figure(f"batches read{' (baseline: Grain)' if other else ''}", rate, "crystals/s", other, other, "higher"),
        Figure("batches read and scattered on the device", steps * BATCH / whole_time, "crystals/s", better="higher"),
    ]
    if step_repeats:
        say("compiling a training step of MP-20's network")
        step_time = seconds_of_step(encoding, loader, step_repeats)
        figures.append(Figure(f"training step, {BATCH} crystals", step_time, "s"))
        figures.append(
            Figure("share of reading and scattering", 100 * whole_time / steps / step_time, "%", TARGET_SHARE)
        )
    return figures


def has_grain() -> bool:
    return installed("grain")


def through_grain(split: EncodedSplit, width: int, steps: int) -> None:
    """Batches of Grain's global shuffle, each gathered by one call as ours are."""
    import grain

    rows = grain.MapDataset.range(len(split)).shuffle(seed=0).repeat().batch(BATCH)
    batches = rows.map(lambda chosen: split.batch(chosen, width)).to_iter_dataset(
        grain.ReadOptions(num_threads=1, prefetch_buffer_size=AHEAD)
    )
    for _ in itertools.islice(batches, steps):
        pass


def at_scale(n: int, work: Path, steps: int) -> list[Figure]:
    """Encode `n` crystals and read batches all over them."""
    rng = np.random.default_rng(0)
    part = crystal_stream.BATCH
    empty = made_up_table(0, SCALE_ATOMS, rng)
    with crystal_stream.writing(work / "scale.parquet", empty) as writer:
        for start in range(0, n, part):
            writer.write(made_up_table(min(part, n - start), SCALE_ATOMS, rng, f"s{start}"))
    before = peak_memory_mib()
    start = time.perf_counter()
    encoded(work / "scale.parquet", EncodeSettings(), work / "scale")
    encode_time, encode_peak = time.perf_counter() - start, peak_memory_mib()
    anonymous, mapped = (resident_mib(kind) for kind in ("RssAnon", "RssFile"))
    start = time.perf_counter()
    encoding, split = read_encoding(work / "scale"), EncodedSplit(work / "scale", "train")
    loader = Loader(split, encoding.max_atoms, 0, BATCH)
    open_time, start = time.perf_counter() - start, time.perf_counter()
    jax.block_until_ready(loader.batch(0))
    first_time, start = time.perf_counter() - start, time.perf_counter()
    with contextlib.closing(loader.batches(range(1, steps + 1))) as batches:
        for batch in batches:
            jax.block_until_ready(batch)
    read_time = time.perf_counter() - start
    label = f"{n} crystals"
    return [
        Figure(f"{label}: encoded", n / encode_time, "crystals/s", better="higher"),
        Figure(f"{label}: peak memory of encoding (baseline: before it)", encode_peak, "MiB", 1536.0, before),
        Figure(f"{label}: size on disk", size_of(work / "scale") / n, "B/crystal"),
        Figure(f"{label}: time to open", open_time, "s"),
        Figure(f"{label}: time to the first batch", first_time, "s"),
        Figure(f"{label}: batches read", steps * BATCH / read_time, "crystals/s", better="higher"),
        Figure(f"{label}: memory of its own that reading adds", resident_mib("RssAnon") - anonymous, "MiB"),
        Figure(f"{label}: pages of the files in memory", resident_mib("RssFile") - mapped, "MiB"),
    ]


def resident_mib(kind: str) -> float:
    """Memory of this process that is resident, of a kind that Linux tells apart, MiB; 0 on other systems."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20_000, help="made-up crystals (default: 20000)")
    parser.add_argument("--made-up", action="store_true", help="made-up crystals even where published ones are there")
    parser.add_argument("--steps", type=int, default=500, help="batches to read (default: 500)")
    parser.add_argument("--repeats", type=int, default=3, help="the shortest time counts (default: 3)")
    parser.add_argument("--step-repeats", type=int, default=1, help="training steps to time; 0: none (default: 1)")
    parser.add_argument("--scale", type=int, metavar="N", help="also encode and read N made-up crystals, say 2200000")
    args = parser.parse_args()

    data = Path(os.environ.get("UNIMAT_DATA_DIR", "nowhere"))
    if (data / "mp_20").is_dir() and not args.made_up:
        say("reading MP-20's validation and test splits")
        table = crystal_table.from_crystals(mp_20_crystals(data))
    else:
        say(f"making up {args.n} crystals")
        table = made_up_table(args.n, CONFIG["encode"]["max_atoms"], np.random.default_rng(0))
    with tempfile.TemporaryDirectory(prefix="unimat-loader-") as folder:
        work = Path(folder)
        figures = sizes_and_speed(table, work, args.repeats)
        figures += speeds(work / "encoded", args.steps, args.repeats, args.step_repeats)
        if args.scale:
            say(f"encoding {args.scale} crystals")
            figures += at_scale(args.scale, work, args.steps)
    finish("loader", figures)


if __name__ == "__main__":
    main()
