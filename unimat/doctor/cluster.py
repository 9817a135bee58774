"""What would go wrong if a workflow were submitted from here, found before the first submission: Slurm, or PBS."""

import getpass
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from unimat.configuration.resources import Resources
from unimat.distributions import installed
from unimat.doctor.partitions import partition_findings, read_partitions, resources_named
from unimat.errors import UserError
from unimat.findings import Finding, problem

PATIENCE = 20.0  # seconds for an answer of the scheduler
GENERIC = "cluster-generic"
ARRAY_LIMIT = 75  # tasks whose commands fit into the 128 KiB of one argument, at 1.6 KiB each and paths of usual length
CHECKS_TO_KEEP = 3  # the plugin leaves squeue where finished jobs stay there for fewer than so many first checks
FIRST_CHECK = 40  # seconds, the plugin's default


def slurm_findings(profile: Mapping[str, Any], asked: Mapping[str, Resources]) -> Iterator[Finding]:
    """Whether Slurm is there, and takes what the jobs of the workflow ask it for.

    Args:
        profile: what the profile's file holds.
        asked: what the workflow's rules ask for, by name.
    """
    yield plugin_finding("slurm")
    yield from array_findings(profile)
    try:
        ask("sbatch", "--version")
        text = ask("scontrol", "show", "config")
        yield Finding("slurm", f"{len(ask('squeue', '--noheader').splitlines())} jobs in the queue")
        settings = dict(re.findall(r"^(\w+)\s*= (.*)$", text, re.MULTILINE))
        yield status_finding(profile, settings)
        partitions = read_partitions(ask("sinfo", "--noheader", "--format", "%P|%l|%c|%m|%a"))
    except UserError as error:
        yield problem("slurm", error)
        return
    yield account_finding(profile, settings)
    yield from partition_findings(profile, partitions, asked)


def pbs_findings(profile: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether the commands that a profile of cluster-generic names are there, and the scheduler answers."""
    yield plugin_finding(GENERIC)
    for key in ("submit-cmd", "status-cmd", "cancel-cmd"):
        command = str(profile.get(f"{GENERIC}-{key}") or "")
        programs = [part.split()[0] for part in command.split("&&") if part.split()]
        missing = [name for name in programs if shutil.which(name) is None]
        remedy = (
            f"no program {missing[0]!r} is found; run this on the login node, where the workflow is"
            if missing
            else None
        )
        yield Finding(key, command or "none", remedy if programs else f"name {GENERIC}-{key} in the profile")
    try:
        yield Finding("qstat", f"{len(ask('qstat').splitlines())} lines")
    except UserError as error:
        yield problem("qstat", error)
    queue = (profile.get("default-resources") or {}).get("queue")
    if queue:
        try:
            ask("qstat", "-Q", str(queue))
            yield Finding("queue", str(queue))
        except UserError as error:
            yield problem("queue", error)


def ask(*command: str) -> str:
    """What a command of the scheduler prints.

    Raises:
        UserError: if there is no such program, it fails, or it does not answer in `PATIENCE`.
    """
    shown = " ".join(command)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except FileNotFoundError as error:
        raise UserError(
            f"no program {command[0]!r} is found; run this on the cluster's login node, or load its module"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"{shown!r} does not answer within {PATIENCE:.0f} s; ask whether the scheduler is down, and try again"
        ) from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["nothing"]
        raise UserError(f"{shown!r} fails and says {said[0]!r}; ask whoever keeps the cluster")
    return done.stdout


def plugin_finding(executor: str) -> Finding:
    name = f"snakemake-executor-plugin-{executor}"
    remedy = None if installed(name) else f"pip install {name}, or 'unimat[workflow]'"
    return Finding("executor", name, remedy)


def array_findings(profile: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether arrays of jobs would be submitted, and keep what they have made; docs/clusters.md has the facts."""
    rules = str(profile.get("slurm-array-jobs") or "")
    if not rules:
        yield Finding("arrays", "none: one sbatch for each job")
        return
    limit = int(profile.get("slurm-array-limit") or 1000)
    rate = int(str(profile.get("max-jobs-per-timespan") or "100").split("/")[0])
    troubles = [
        (
            "a task that fails removes the result of the first one",
            "keep-incomplete: true",
            profile.get("keep-incomplete"),
        ),
        (
            f"jobs is {profile.get('jobs')}: of more shards, nothing would be submitted, without a message",
            "jobs: unlimited",
            profile.get("jobs") in ("unlimited", "all"),
        ),
        (f"{rate} jobs at a time: of more shards, some get lost", "max-jobs-per-timespan: 100000/1s", rate >= 10000),
        (f"commands of {limit} tasks are too long", f"slurm-array-limit: {ARRAY_LIMIT} or less", limit <= ARRAY_LIMIT),
    ]
    wrong = [Finding("arrays", text, f"set {remedy} in the profile") for text, remedy, right in troubles if not right]
    yield from wrong or [Finding("arrays", f"of {rules}, up to {limit} tasks each")]


def status_finding(profile: Mapping[str, Any], settings: Mapping[str, str]) -> Finding:
    """Whether the state of a finished job can be learned."""
    accounting = settings.get("AccountingStorageType", "").strip()
    command = str(profile.get("slurm-status-command") or ("sacct" if shutil.which("sacct") else "squeue"))
    kept = int((re.findall(r"\d+", settings.get("MinJobAge", "")) or ["300"])[0])
    first = int(profile.get("slurm-init-seconds-before-status-checks") or FIRST_CHECK)
    text = f"by {command}; squeue shows finished jobs for {kept} s, accounting is {accounting or 'unknown'}"
    if command == "sacct" and accounting.endswith("none"):
        return Finding("status", text, "set slurm-status-command: squeue in the profile, or Snakemake waits for ever")
    if command == "squeue" and kept < CHECKS_TO_KEEP * first and accounting.endswith("none"):
        least = kept // CHECKS_TO_KEEP
        return Finding("status", text, f"set slurm-init-seconds-before-status-checks to {least} or less in the profile")
    return Finding("status", text)


def account_finding(profile: Mapping[str, Any], settings: Mapping[str, str]) -> Finding:
    """Whether the accounts of a profile are the user's own, where Slurm keeps accounts."""
    accounts = sorted(resources_named(profile, "slurm_account"))
    if settings.get("AccountingStorageType", "").strip().endswith("none"):
        return Finding("account", f"{', '.join(accounts) or 'none'}; accounting is off, nobody asks")
    try:
        said = ask(
            "sacctmgr", "--noheader", "--parsable2", "show", "assoc", f"user={getpass.getuser()}", "format=account"
        )
    except UserError as error:
        return problem("account", error)
    own = sorted(set(said.split()))
    if not accounts:
        return Finding("account", f"none named; yours: {', '.join(own) or 'none'}")
    strange = [name for name in accounts if name.lower() not in {each.lower() for each in own}]
    remedy = f"name one of {', '.join(own) or 'those that you are given'} as slurm_account" if strange else None
    return Finding("account", ", ".join(accounts), remedy)
