"""The dataset: its files are there, its tables have the columns that are named, and it can fill a batch."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from unimat.configuration.checks import chemistry, heads
from unimat.configuration.checks.files import missing
from unimat.configuration.configuration import Configuration
from unimat.configuration.schema import did_you_mean
from unimat.materials.datasets.known import DATASETS
from unimat.materials.datasets.settings import IngestSettings, PropertyColumn

STRUCTURE_COLUMNS = {"lattice", "atomic_numbers", "frac_coords"}  # of a crystal table, which keeps all its columns
SHOWN = 12  # columns that are listed


def mistakes(configuration: Configuration) -> Iterator[str]:
    """What ingestion would not find, or training could not use."""
    settings: IngestSettings = configuration.settings["dataset"]
    yield from chemistry.elements("dataset.elements", settings.elements or ())
    if settings.name not in (*DATASETS, "custom"):
        return  # told by the checks of names
    if Path("results", configuration.run, "dataset/train.parquet").exists():
        return  # ingested already; its source may be gone
    found = [line for key, path in _given(settings).items() for line in missing(key, path)]
    yield from found
    if settings.mirror and not Path(settings.mirror).expanduser().is_dir():
        yield f"dataset.mirror names {settings.mirror!r}, and there is no such folder"
    yield from _keys(settings)
    if not found:
        yield from _columns(configuration, settings)
        yield from _batch(configuration, settings)


def sources(settings: IngestSettings) -> dict[str, Path]:
    """Files and folders of crystals by their key in the configuration."""
    if isinstance(settings.source, Mapping):
        return {f"dataset.source.{split}": Path(path).expanduser() for split, path in settings.source.items()}
    return {"dataset.source": Path(settings.source).expanduser()} if settings.source else {}


def _given(settings: IngestSettings) -> dict[str, str]:
    found = {key: str(path) for key, path in sources(settings).items()}
    if settings.table:
        found["dataset.table"] = str(Path(settings.table).expanduser())
    return found | {f"dataset.files.{key}": str(Path(path).expanduser()) for key, path in settings.files.items()}


def _keys(settings: IngestSettings) -> Iterator[str]:
    """`files` stand in for files that the dataset has."""
    dataset = DATASETS.get(settings.name)
    for key in settings.files if dataset else ():
        if key not in dataset.keys:  # type: ignore[union-attr]
            yield f"dataset.files.{key} is none of the files of {settings.name}{did_you_mean(key, dataset.keys)}"  # type: ignore[union-attr]


def _columns(configuration: Configuration, settings: IngestSettings) -> Iterator[str]:
    """Columns that somebody names are those of the tables."""
    table = {"dataset.table": Path(settings.table).expanduser()} if settings.table else {}
    carriers = {key: path for key, path in (table or sources(settings)).items() if path.exists()}
    found = {key: heads.columns(path) for key, path in carriers.items()}
    named = {f"dataset.properties.{name}": each.column or name for name, each in settings.properties.items()}
    of_ids = {"dataset.id_column": settings.id_column} if settings.id_column else {}
    for key, names in found.items():
        yield from _lacking(named | of_ids, names, carriers[key])
    if settings.structure_column:
        wanted = {"dataset.structure_column": settings.structure_column}
        for path in sources(settings).values():
            if path.exists():
                yield from _lacking(wanted, heads.columns(path), path)
    yield from _used(configuration, _property_columns(settings, found))
    for name in configuration.sets_from("file"):
        own = configuration.sets[name]
        path = Path(own["path"]).expanduser()
        properties = {key: PropertyColumn(**each) for key, each in own.get("properties", {}).items()}
        wanted = {f"sets.{name}.properties.{key}": each.column or key for key, each in properties.items()}
        wanted |= {f"sets.{name}.{key}": own[key] for key in ("id_column", "structure_column") if own.get(key)}
        if wanted and path.is_file():
            yield from _lacking(wanted, heads.columns(path), path)


def _lacking(wanted: Mapping[str, str], names: list[str] | None, path: Path) -> Iterator[str]:
    for key, column in wanted.items() if names is not None else ():
        if column not in (names or ()):
            listed = ", ".join((names or [])[:SHOWN]) + (", ..." if len(names or ()) > SHOWN else "")
            near = did_you_mean(column, names or ())
            remedy = near if near.startswith("; did") else f"; its columns: {listed}"
            yield f"{key} reads the column {column!r}, which {path} lacks{remedy}"


def _property_columns(settings: IngestSettings, found: Mapping[str, list[str] | None]) -> set[str] | None:
    """Names of the property columns that crystal tables will have; None where only ingestion knows."""
    dataset = DATASETS.get(settings.name)
    if dataset is not None:
        return None if dataset.embedded else set(dataset.properties)
    own = set(settings.properties)
    for names in found.values():
        if names is not None and set(names) >= STRUCTURE_COLUMNS:
            own |= set(names) - STRUCTURE_COLUMNS
    return own


def _used(configuration: Configuration, there: set[str] | None) -> Iterator[str]:
    """Property columns that later stages name are those that ingestion keeps."""
    if there is None:
        return
    wanted = {f"encode.properties names {name!r}": name for name in configuration.settings["encode"].properties}
    for name in configuration.sets_from("split"):
        if (column := configuration.sets[name].get("rank_by")) is not None:
            wanted[f"sets.{name}.rank_by is {column!r}"] = column
    for said, name in wanted.items():
        if name not in there:
            remedy = did_you_mean(name, there) if there else ""
            yield f"{said}, a column that the dataset does not have; name it in dataset.properties{remedy}"


def _batch(configuration: Configuration, settings: IngestSettings) -> Iterator[str]:
    """A batch that somebody asks for is no larger than the training split."""
    batch = configuration.section("train").get("batch_size")
    if batch is None or configuration.values.get("pretrained"):
        return
    most, said = most_in_training(settings)
    if most == 0:
        yield f"dataset.source is {settings.source!r}, which holds no crystal; give another"
    elif most is not None and batch > most:
        yield (
            f"train.batch_size is {batch} crystals, and the train split has at most {most} ({said}); give a batch of at"
            f" most {most}"
        )


def most_in_training(settings: IngestSettings) -> tuple[int | None, str]:
    """At most so many crystals the training split can have, None if nobody knows yet; and where that is from."""
    dataset = DATASETS.get(settings.name)
    if dataset is not None and not dataset.embedded:
        return _most_published(settings, dataset.n_rows)
    if dataset is not None:
        return None, ""
    found = {key: heads.crystals(path) for key, path in sources(settings).items()}
    if settings.limit:
        found = {key: min(count, settings.limit) if count else count for key, count in found.items()}
    if "dataset.source.train" in found:
        count = found["dataset.source.train"]
        moved = found.get("dataset.source.val") if settings.split.keep_val is not None else 0
        total = None if count is None or moved is None else count + moved
        return total, f"crystals of {settings.source['train']}"  # type: ignore[index]
    count = found.get("dataset.source")
    if count is None:
        return None, ""
    if settings.split.kind == "given" or settings.split.keep_val is not None:
        return count, f"crystals of {settings.source}"
    columns = heads.columns(Path(str(settings.source)).expanduser()) or ()
    if settings.split.kind == "auto" and "split" in columns:
        return count, f"rows of {settings.source}"
    share = settings.split.fractions[0]
    # Where groups stay together, a split may have more than its share: all of them, at the worst.
    most = count if settings.split.group_by != "none" else math.ceil(share * count)
    return most, f"{share:g} of {count} crystals of {settings.source}"


def _most_published(settings: IngestSettings, n_rows: Mapping[str, int]) -> tuple[int | None, str]:
    if not n_rows:
        return settings.limit, f"dataset.limit is {settings.limit}"
    rows = {split: min(count, settings.limit or count) for split, count in n_rows.items()}
    train = rows.get("train", sum(rows.values()))
    said = f"as {settings.name} is published" if not settings.limit else f"dataset.limit is {settings.limit}"
    if settings.split.kind == "fractions":
        return math.ceil(settings.split.fractions[0] * sum(rows.values())), said
    if settings.split.keep_val is not None:
        return train + rows.get("val", 0), said
    return train, said
