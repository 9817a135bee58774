"""Say what would go wrong if a workflow or a training started here, or jobs were submitted.

One line each. Of a configuration, first of all and within two seconds: every mistake in it, as a dry run of the
workflow tells them, and then no more; or the jobs that it takes, their cores and, where DFT relaxes a set, VASP's
command, potentials and disk. Of the machine: packages, devices, environment, processes; with a profile, its accelerator
and launcher, and of a cluster whether it answers, and partition, account, hours and memory are what the jobs need;
where something is trained, whether the batch can be shared out, and it fits the devices' memory and the disk. A line
starts with `ok` or `problem`, and a problem ends with its remedy. Exit code 1 if there is any.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXAMPLE = "unimat doctor --profile tpu --config config/paper.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", metavar="NAME", help="folder of a profile, or its name in profiles/")
    parser.add_argument(
        "--probe", action="store_true", help="run one small job on the cluster, which says whether it finds unimat"
    )
    parser.add_argument(
        "--config",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="configuration of a run; of several files a later one goes before",
    )
    parser.add_argument(
        "--targets", nargs="+", default=[], metavar="TARGET", help="of the run, as of Snakemake (default: all of it)"
    )
    parser.add_argument(
        "--encoded", type=Path, metavar="DIR", help="folder of `unimat encode`, in place of --config's encode"
    )
    parser.add_argument("--model-settings", metavar="FILE_OR_JSON", help="model section, in place of --config's")
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="train section, in place of --config's")
    work = "working folder (default: the current one)"
    parser.add_argument("--work", type=Path, metavar="DIR", default=Path(), help=work)
    parser.add_argument(
        "--compile", action="store_true", help="take memory from the compiled step (may take minutes), not estimated"
    )


def run(args: argparse.Namespace) -> None:
    problems = total = 0
    for finding in _findings(args):
        print(finding, flush=True)
        total += 1
        problems += finding.remedy is not None
    if problems:
        print(f"{problems} of {total} lines say problem", file=sys.stderr)
        sys.exit(1)


def _findings(args: argparse.Namespace) -> Iterator[Any]:
    from unimat.errors import UserError
    from unimat.findings import Finding, problem

    try:
        profile = _profile(args.profile) if args.profile else {}
        try:
            run = _Run(args, profile) if args.config else None
        except UserError as error:  # no YAML, or no such file
            yield Finding("configuration", str(error), "")
            return
        if run is not None:
            yield from run.findings()
            if run.mistakes:
                return  # the rest would be that of another run
        yield from _of_the_machine(args, profile, run)
    except UserError as error:
        yield problem("input", error)


class _Run:
    """The run of a configuration: what is wrong with it, and its jobs."""

    def __init__(self, args: argparse.Namespace, profile: dict[str, Any]):
        from unimat.configuration.plan import Plan
        from unimat.configuration.reading import read_files

        executor = str(profile.get("executor") or "local")
        reading = read_files(*args.config)
        self.label, self.configuration, self.targets = reading.label, reading.configuration, args.targets
        self.mistakes = reading.with_machine(args.targets, executor != "local")
        self.shards = (profile.get("set-scatter") or {}).get("relax")
        self.plan = Plan(self.configuration, args.targets, self.shards)
        self.at_once = profile["jobs"] if isinstance(profile.get("jobs"), int) else None
        self.work = Path(args.work)

    @property
    def trains(self) -> bool:
        return ("train",) in self.plan.jobs and not self.configuration.values.get("pretrained")

    def findings(self) -> Iterator[Any]:
        from unimat.configuration.resources import asked_for
        from unimat.doctor.dft import dft_findings
        from unimat.findings import Finding

        if self.mistakes:
            yield from (Finding("configuration", line, "") for line in self.mistakes)
            return
        counts = ", ".join(f"{count} {rule}" for rule, count in self.plan.counts.items())
        yield Finding("configuration", f"{self.label} is sound; its {len(self.plan.jobs)} jobs: {counts}")
        asked = asked_for(self.configuration, self.targets, self.shards)
        if asked:
            rule = max(asked, key=lambda each: asked[each].threads or 1)
            yield Finding("cores", f"up to {asked[rule].threads} for a job ({rule})")
        yield from dft_findings(self.configuration, self.plan, self.work, self.at_once)


def _of_the_machine(args: argparse.Namespace, profile: dict[str, Any], run: _Run | None) -> Iterator[Any]:
    from unimat.model.training import doctor

    yield from doctor.machine_findings(os.environ)
    if args.profile:
        wanted = _section(profile, "config").get("require_accelerator")
        if wanted:
            found = doctor.device_finding(wanted)
            yield doctor.Finding("accelerator", f"profile {args.profile}, {found.text}", found.remedy)
        training = _section(_section(profile, "set-resources"), "train")
        yield doctor.launcher_finding(str(training.get("launcher", "")))
        yield from _cluster_findings(profile, args, run)
    if run is not None and not (run.trains or args.encoded or args.settings or args.model_settings):
        shipped = run.configuration.values.get("pretrained")
        yield doctor.Finding("memory", f"nothing is trained{f': pretrained is {shipped}' if shipped else ''}")
    elif run is not None or args.encoded or args.settings or args.model_settings:
        yield from doctor.settings_findings(*_settings(args, run), Path(args.work), args.compile)


def _cluster_findings(profile: dict[str, Any], args: argparse.Namespace, run: _Run | None) -> Iterator[Any]:
    """What the profile's cluster says; nothing of a profile that has none."""
    from unimat.configuration.resources import asked_for
    from unimat.doctor import cluster as cluster_doctor
    from unimat.doctor import probe

    executor = str(profile.get("executor") or "")
    if executor == "slurm":
        asked = asked_for(run.configuration, args.targets, run.shards) if run else asked_for()
        yield from cluster_doctor.slurm_findings(profile, asked)
    elif executor == cluster_doctor.GENERIC:
        yield from cluster_doctor.pbs_findings(profile)
    if args.probe:
        yield probe.probe_finding(executor, profile, Path(args.work))


def _settings(args: argparse.Namespace, run: _Run | None) -> tuple[Any, Any, Any]:
    """Encoding, network and recipe of the training; a model that it starts from has the first two."""
    from unimat.model.representation.encoded import read_encoding
    from unimat.model.settings import EncodeSettings, TrainSettings
    from unimat.model.training.doctor import encoding_of, imagined_encoding
    from unimat.model.training.fine_tuning import model_settings_of
    from unimat.settings import load_settings

    values = run.configuration.values if run else {}
    recipe = run.configuration.settings["train"] if run and not args.settings else None
    recipe = recipe or load_settings(TrainSettings, args.settings, "train")
    initial = recipe.initial if recipe.initial and _is_there(recipe.initial) else None
    model = model_settings_of(args.model_settings or _section(values, "model"), initial)
    if args.encoded:
        return read_encoding(args.encoded), model, recipe
    if initial:
        return encoding_of(initial), model, recipe
    encode = run.configuration.settings["encode"] if run else EncodeSettings()
    return imagined_encoding(encode), model, recipe


def _is_there(model: str) -> bool:
    """Whether a model that a training starts from is there already; one that a run is to make is not."""
    return not model.endswith(".npz") or Path(model).expanduser().is_file()


def _section(values: Any, name: str) -> dict[str, Any]:
    found = values.get(name) or {}
    return found if isinstance(found, dict) else {}


def _profile(name: str) -> dict[str, Any]:
    """A profile's file, where Snakemake would look for it, and in profiles/."""
    from unimat.errors import UserError
    from unimat.files import existing
    from unimat.strict_yaml import read_document

    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    folders = [Path(name), home / "snakemake" / name, Path("profiles") / name]
    found = [folder / "config.yaml" for folder in folders if (folder / "config.yaml").is_file()]
    path = found[0] if found else existing(folders[-1] / "config.yaml")
    document = read_document(path)
    if document.mistakes:
        raise UserError(document.mistakes[0])
    if document.values is not None and not isinstance(document.values, dict):
        raise UserError(f"{path} holds no mapping of keys to values; give a profile")
    return document.values or {}
