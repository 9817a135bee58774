"""What the rules need of the configuration. A default stands in a settings class of unimat, never here."""

import hashlib
import json
import os
import re
import shlex
from pathlib import Path

from unimat.distributions import installed
from unimat.materials.datasets.known import DATASETS
from unimat.model.shipped.pretrained import card_beside, model_file, parameters_of


include: "configuration.smk"
include: "resources.smk"
include: "flags.smk"


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
        own = source.values() if isinstance(source, dict) else [source]
        return [str(Path(path).expanduser()) for path in (*own, *([table] if table else []))]
    return [] if DATASETS[settings["dataset"].name].embedded else rules.fetch.output.manifest


def compositions_of(name, section="sample"):
    """The file with the compositions that a set asks for, if it does."""
    asked = options_of(config, section, asked_of(name)).get("compositions") or []
    return asked if isinstance(asked, str) else []


def asked_of(name):
    """Options of a set, with the files of what it takes from other sets: formulas, and templates of samples."""
    options = config["sets"][name]
    if "compositions_of" in options:
        options = options | {"compositions": f"results/{config['run']}/compositions/{name}.csv"}
    if options["from"] == "sample":
        options = options | dict(zip(["templates"], shown_to(name)))
    return options


def shown_to(name):
    """The file of the templates that a sampled set is shown, if it is shown any."""
    return [place.replace("<run>", config["run"]) for place in table_files(configuration.shown_to(name))]


def table_files(tables):
    """Files of what a set from substitution names as templates or as known."""
    places = {
        "split": "results/<run>/dataset/{}.parquet",
        "set": "results/<run>/sets/{}/crystals.parquet",
        "file": "{}",
    }
    return [places[kind].format(Path(word).expanduser()) for word, kind in tables.items() if kind in places]


def substitution_keys(name):
    """Keys of the section substitution that matter to a set: of new compositions, or of given ones."""
    if configuration.discovers(name):
        return ["n", "elements", "chemical_system", "max_atoms", "partial", "valid_only", "max_distance", "seed"]
    return ["compositions", "count", "any_units", "without_own"]


def reference_files(kind, name, of_set=None):
    """What a hull reference is built from: its relaxed sets (`set`), or its local files that are there (`file`).

    `name` is "reference", or that of one of the further references; `of_set` the set whose own reference it is. A file
    that is missing is no input: `unimat reference` says where it can be got, and Snakemake would not.
    """
    hull = settings_of("hull", of_set)
    reference = hull.references.get(name, hull.reference)
    if kind == "set":
        return [f"results/<run>/sets/{each}/relaxed.parquet" for each in reference_sets(reference)]
    folders = Path(), Path(os.environ.get("UNIMAT_DATA_DIR", ""))
    found = [[str(folder / part.path) for folder in folders] for part in reference.parts.values() if part.path]
    return [path for places in found for path in [place for place in places if Path(place).is_file()][:1]]


def further_reference_settings(name, of_set=None):
    """Settings of one of the further references for `--settings`; it is called what the configuration calls it."""
    given = options_of(config, "hull", changed("hull", of_set))["references"][name]
    return json.dumps({"reference": {"name": name} | given}, sort_keys=True)


def initial_parameters():
    """The file of the model that a training starts from, if it does; one of a name ships with unimat."""
    initial = settings["train"].initial or ""
    return str(Path(initial).expanduser()) if initial.endswith(".npz") else []


def training_folder():
    """Working folder of one training: other settings get another folder, and the same ones find their checkpoints."""
    used = "".join(map(as_json, ("dataset", "encode", "model", "train")))
    return f"results/{config['run']}/work/train/{hashlib.sha256(used.encode()).hexdigest()[:12]}"


def effective_configuration():
    """What the run was made with, less what belongs to the machine."""
    return json.dumps({key: value for key, value in config.items() if key not in OF_THE_MACHINE})


def command(*targets):
    """How this run is made again."""
    files = [shlex.quote(shown(path)) for path in workflow.overwrite_configfiles]
    return " ".join(["snakemake", *targets, "--cores", "all", *(["--configfile", *files] if files else [])])


def demand_accelerator(kind):
    """Stop unless this machine has the accelerator that a profile asks for; costs no import of JAX."""
    nodes = {"tpu": ("accel[0-9]*", "vfio/[0-9]*"), "cuda": ("nvidia[0-9]*",)}[kind]
    if not any(node for pattern in nodes for node in Path(os.sep, "dev").glob(pattern)):
        sys.exit(
            f"this machine has no {kind.upper()}, which the profile requires; run without the profile, or elsewhere"
        )
    if kind == "tpu" and not installed("libtpu"):
        sys.exit("the profile requires a TPU, but the package libtpu is not installed; pip install 'unimat[tpu]'")


if workflow.modifier.path_modifier.replace_prefix("results/run") != "results/run":
    stop(["prefix and replace_prefix of a module move some paths only and break jobs; take them out: `run` parts runs"])
if "require_accelerator" in config:
    demand_accelerator(config["require_accelerator"])
