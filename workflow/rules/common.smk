"""What the rules need of the configuration. A default stands in a settings class of unimat, never here."""

import hashlib
import importlib.util
import json
import shlex
from pathlib import Path


include: "validate.smk"
include: "settings.smk"


def as_json(section, overrides={}, only=()):
    """Settings of one section for `--settings`, so that a rule depends on this section (or some keys of it) alone."""
    options = options_of(config, section, overrides)
    return json.dumps({key: options[key] for key in sorted(options) if key in only or not only})


def any_of(names):
    """Wildcard constraint that `names` meet and nothing else does."""
    return "|".join(map(re.escape, names)) or "(?!)"


def dataset_files():
    """What ingestion reads: a fetched dataset's manifest, one's own files, or nothing for the embedded dataset."""
    source, table = settings["dataset"].source, settings["dataset"].table
    if source:
        return [*(source.values() if isinstance(source, dict) else [source]), *([table] if table else [])]
    return [] if DATASETS[settings["dataset"].name].embedded else rules.fetch.output.manifest


def mirror_flag():
    mirror = settings["dataset"].mirror
    return f"--mirror {shlex.quote(mirror)}" if mirror else ""


def given_files():
    """Flags for local files that stand in for published ones."""
    given = settings["dataset"].files.items()
    return " ".join(f"--file {shlex.quote(f'{key}={Path(path).expanduser()}')}" for key, path in given)


def fetched_folder():
    """Flag that tells ingestion where a published dataset lies."""
    return (
        f"--files {Path(rules.fetch.output.manifest).parent}" if dataset_files() == rules.fetch.output.manifest else ""
    )


def selection(name):
    """Flags that choose the rows of a set from a split."""
    options = {"seed": config.get("seed", 0)} | config["sets"][name]
    given = [(key, options[key]) for key in ("lowest_per_composition", "rank_by", "take", "seed") if key in options]
    return " ".join(f"--{key.replace('_', '-')} {shlex.quote(str(value))}" for key, value in given)


def compositions_of(name):
    """The list of compositions that a set asks for, if it does."""
    return options_of(config, "sample", config["sets"][name]).get("compositions") or []


def reference_files(kind, name):
    """What a hull reference is built from: its relaxed sets (`set`), or its local files that are there (`file`).

    `name` is "reference", or that of one of the further references. A file that is missing is no input: `unimat
    reference` says where it can be got, and Snakemake would not.
    """
    reference, where = settings["hull"].reference, "hull.reference.set"
    if name in settings["hull"].references:
        reference, where = settings["hull"].references[name], f"hull.references.{name}.set"
    sources = reference.parts.values()
    if kind == "set":
        names = list(dict.fromkeys(source.set for source in sources if source.kind == "set"))
        demand(where, names if sets_of("hull") else [], sets_of("relax"), "relax.sets")
        return [f"results/<run>/sets/{name}/relaxed.parquet" for name in names]
    folders = Path(), Path(os.environ.get("UNIMAT_DATA_DIR", ""))
    found = [[str(folder / source.path) for folder in folders] for source in sources if source.path]
    return [path for places in found for path in [place for place in places if Path(place).is_file()][:1]]


def further_reference_settings(name):
    """Settings of one of the further references for `--settings`; it is called what the configuration calls it."""
    return json.dumps({"reference": {"name": name} | config["hull"]["references"][name]}, sort_keys=True)


def training_folder():
    """Working folder of one training: other settings get another folder, and the same ones find their checkpoints."""
    used = "".join(map(as_json, ("dataset", "encode", "model", "train")))
    return f"results/{config['run']}/work/train/{hashlib.sha256(used.encode()).hexdigest()[:12]}"


def effective_configuration():
    """What the run was made with, less what belongs to the machine."""
    return json.dumps({key: value for key, value in config.items() if key != "require_accelerator"})


def command():
    """How this run is made again."""
    files = [shlex.quote(shown(path)) for path in workflow.overwrite_configfiles]
    return " ".join(["snakemake", "--cores", "all", *(["--configfile", *files] if files else [])])


def demand_accelerator(kind):
    """Stop unless this machine has the accelerator that a profile asks for; costs no import of JAX."""
    nodes = {"tpu": ("accel[0-9]*", "vfio/[0-9]*"), "cuda": ("nvidia[0-9]*",)}[kind]
    if not any(node for pattern in nodes for node in Path(os.sep, "dev").glob(pattern)):
        sys.exit(
            f"this machine has no {kind.upper()}, which the profile requires; run without the profile, or elsewhere"
        )
    if kind == "tpu" and importlib.util.find_spec("libtpu") is None:
        sys.exit("the profile requires a TPU, but the package libtpu is not installed; pip install 'unimat[tpu]'")


settings = read_configuration()
if "require_accelerator" in config:
    demand_accelerator(config["require_accelerator"])
