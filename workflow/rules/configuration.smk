"""The configuration, read and checked whole before any job, and lookups in it. What is checked, unimat.configuration has."""

import sys

from snakemake.cli import parse_args

from unimat.configuration.configuration import DFT, reference_sets
from unimat.configuration.reading import document_of, read, shown
from unimat.configuration.sections import OF_THE_MACHINE, options_of
from unimat.errors import UserError

# Of a call that runs nothing, or in another environment, or who knows what: nothing need be installed for it here.
WITHOUT_JOBS = (
    "archive", "cleanup_metadata", "conda_cleanup_envs", "d3dag", "dag", "delete_all_output", "delete_temp_output",
    "detailed_summary", "filegraph", "generate_unit_tests", "lint", "omit_from", "list_changes", "list_input_changes", "list_rules",
    "list_target_rules", "list_untracked", "report", "rulegraph", "software_deployment_method", "summary", "touch",
    "unlock", "until",
)  # fmt: skip


def stop(lines):
    # Snakemake would print a traceback of its own around a WorkflowError.
    sys.exit("\n".join(lines))


def documents_of(paths):
    """Contents of the configuration's files, read more strictly than Snakemake does."""
    try:
        return [document_of(path) for path in paths]
    except UserError as error:
        stop([str(error)])


def read_configuration():
    """The configuration as an object; `config` becomes what it holds, and every mistake is told at once."""
    reading = read(config, workflow.configfiles, documents_of(workflow.configfiles))
    called = calling()
    mistakes = reading.mistakes if called is None else reading.with_machine(*called)
    if mistakes:
        stop(mistakes)
    config.clear()
    config.update(reading.configuration.values)
    return reading.configuration


def calling():
    """Targets of this call, and whether jobs are submitted, as Snakemake's command line says; None if it runs none here."""
    as_a_module = len(workflow.modifier_stack) > 1  # whose targets are another workflow's
    if (
        not workflow.is_main_process
        or as_a_module
        or "snakemake" not in (Path(sys.argv[0]).name, Path(sys.argv[0]).parent.name)
    ):
        return None
    _, asked = parse_args(sys.argv[1:])
    if any(getattr(asked, name, None) for name in WITHOUT_JOBS):
        return None
    return list(asked.targets), asked.executor not in (None, "local", "dryrun", "touch")


configuration = read_configuration()
settings = configuration.settings


def settings_of(section, name):
    return configuration.settings_of(section, name)


def changed(section, name):
    return configuration.changed(section, name)


def sets_of(section):
    return configuration.sets_of(section)


def sets_from(origin):
    return configuration.sets_from(origin)


def truths_of(name):
    return configuration.truths_of(name)


def hull_reference(name):
    """The reference that a set's headline verdicts are against: the run's, or one of its own."""
    place = f"by_set/{name}/" if "reference" in changed("hull", name) else ""
    return f"results/<run>/hull/{place}reference.parquet"


def hull_references(name):
    """The further references that a set is judged against: the run's, or some of its own."""
    place = f"by_set/{name}/" if "references" in changed("hull", name) else ""
    names = settings_of("hull", name).references
    return [f"results/<run>/hull/{place}references/{each}/reference.parquet" for each in names]


def shard_files(name):
    """Relaxed tables of a set's shards."""
    shards, pattern = configuration.own_shards(name), f"results/<run>/sets/{name}/relax/{{scatteritem}}.parquet"
    if shards is None:
        return gather.relax(pattern)
    return expand(pattern, scatteritem=[f"{k}-of-{shards}" for k in range(1, shards + 1)])


def manifest_of(name):
    """What ingestion of a published dataset waits for."""
    return [] if DATASETS[name].embedded else f"resources/{name}/manifest.json"


def known_tables(name=None):
    """Tables of crystals that are not novel in a set: the training split, named ones, and what its model learned."""
    validation = ["results/<run>/dataset/val.parquet"] if configuration.learned_own else []
    return [
        "results/<run>/dataset/train.parquet",
        *(str(Path(path).expanduser()) for path in settings_of("hull", name).known),
        *validation,
        *configuration.learned_tables,
        *expand("results/<run>/known/{known}/{split}.parquet", known=configuration.learned(), split=("train", "val")),
    ]


def judged_files(name):
    """What agreement reads of a judged set."""
    folder = f"results/<run>/sets/{name}"
    return [f"{folder}/{file}" for file in ("stability.parquet", "stability.json", "relaxed.parquet")]
