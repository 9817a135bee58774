"""Say what would go wrong if a training started here, or jobs were submitted.

One line each: packages, devices, environment, processes; with a profile, its accelerator and launcher, and of a cluster
whether it answers, and partition, account, hours and memory are what the jobs need; with settings or a configuration,
whether they are sound, the batch can be shared out, and the run fits the devices' memory and the disk; where VASP
relaxes a set, its command, potentials and disk. A line starts with `ok` or `problem`, and a problem ends with its
remedy. Exit code 1 if there is any.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

EXAMPLE = "unimat doctor --profile tpu --config config/paper.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", metavar="NAME", help="folder of a profile, or its name in profiles/")
    parser.add_argument(
        "--rules",
        type=Path,
        metavar="DIR",
        default=Path("workflow/rules"),
        help="of the workflow (default: %(default)s)",
    )
    parser.add_argument(
        "--probe", action="store_true", help="run one small job on the cluster, which says whether it finds unimat"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration of a run")
    encoded = "folder of `unimat encode`, in place of --config's encode"
    parser.add_argument("--encoded", type=Path, metavar="DIR", help=encoded)
    parser.add_argument("--model-settings", metavar="FILE_OR_JSON", help="model section, in place of --config's")
    parser.add_argument("--settings", metavar="FILE_OR_JSON", help="train section, in place of --config's")
    work = "working folder (default: the current one)"
    parser.add_argument("--work", type=Path, metavar="DIR", default=Path(), help=work)
    parser.add_argument(
        "--compile", action="store_true", help="take memory from the compiled step (may take minutes), not estimated"
    )


def run(args: argparse.Namespace) -> None:
    findings = list(_findings(args))
    print(*findings, sep="\n")
    problems = sum(finding.remedy is not None for finding in findings)
    if problems:
        print(f"{problems} of {len(findings)} lines say problem", file=sys.stderr)
        sys.exit(1)


def _findings(args: argparse.Namespace) -> Any:
    from unimat.errors import UserError
    from unimat.model import doctor

    yield from doctor.machine_findings(os.environ)
    try:
        if args.profile:
            profile = _yaml(_profile_file(args.profile))
            wanted = _section(profile, "config").get("require_accelerator")
            if wanted:
                found = doctor.device_finding(wanted)
                yield doctor.Finding("accelerator", f"profile {args.profile}, {found.text}", found.remedy)
            training = _section(_section(profile, "set-resources"), "train")
            yield doctor.launcher_finding(str(training.get("launcher", "")))
            yield from _cluster_findings(profile, args)
        if args.config:
            from unimat.materials.dft_doctor import dft_findings

            yield from dft_findings(_yaml(Path(args.config)), Path(args.work))
        if args.config or args.encoded or args.settings or args.model_settings:
            yield from doctor.settings_findings(*_settings(args), Path(args.work), args.compile)
    except UserError as error:
        yield doctor.problem("input", error)


def _cluster_findings(profile: dict[str, Any], args: argparse.Namespace) -> Any:
    """What the profile's cluster says; nothing of a profile that has none."""
    from unimat.materials import cluster_doctor, probe

    executor = str(profile.get("executor") or "")
    if executor == "slurm":
        yield from cluster_doctor.slurm_findings(profile, Path(args.rules))
    elif executor == cluster_doctor.GENERIC:
        yield from cluster_doctor.pbs_findings(profile)
    if args.probe:
        yield probe.probe_finding(executor, profile, Path(args.work))


def _settings(args: argparse.Namespace) -> tuple[Any, Any, Any]:
    from unimat.model.doctor import imagined_encoding
    from unimat.model.encoded import read_encoding
    from unimat.model.settings import EncodeSettings, ModelSettings, TrainSettings
    from unimat.settings import load_settings

    config = _yaml(Path(args.config)) if args.config else {}
    model = load_settings(ModelSettings, args.model_settings or _section(config, "model"), "model")
    recipe = load_settings(TrainSettings, args.settings or _section(config, "train"), "train")
    if args.encoded:
        return read_encoding(args.encoded), model, recipe
    return imagined_encoding(load_settings(EncodeSettings, _section(config, "encode"), "encode")), model, recipe


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name) or {}
    return found if isinstance(found, dict) else {}


def _profile_file(name: str) -> Path:
    """Where Snakemake would look for a profile, and profiles/."""
    from unimat.files import existing

    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    folders = [Path(name), home / "snakemake" / name, Path("profiles") / name]
    found = [folder / "config.yaml" for folder in folders if (folder / "config.yaml").is_file()]
    return found[0] if found else existing(folders[-1] / "config.yaml")


def _yaml(path: Path) -> dict[str, Any]:
    from unimat.errors import UserError
    from unimat.files import existing
    from unimat.strict_yaml import read_document

    document = read_document(existing(path))
    if document.mistakes:
        raise UserError(document.mistakes[0])
    if document.values is not None and not isinstance(document.values, dict):
        raise UserError(f"{path} holds no mapping of keys to values; give a configuration file")
    return document.values or {}
