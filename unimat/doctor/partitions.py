"""Whether the partitions of a Slurm have nodes and hours for what the jobs of a workflow ask for."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from unimat.configuration.resources import Resources
from unimat.doctor.job_needs import Need, needs
from unimat.findings import Finding


@dataclasses.dataclass(frozen=True)
class Partition:
    """Attributes: name, longest run time (minutes; None: no limit), cores and memory (MB) of its largest node."""

    name: str
    minutes: float | None
    cpus: int
    memory: int
    default: bool
    up: bool


def resources_named(profile: Mapping[str, Any], key: str) -> set[str]:
    """Every value that a profile gives to one resource, for all rules or for some."""
    sections = [profile.get("default-resources") or {}, *(profile.get("set-resources") or {}).values()]
    return {str(section[key]) for section in sections if section and section.get(key)}


def read_partitions(text: str) -> dict[str, Partition]:
    """Partitions by name, from lines of sinfo: name, time limit, cores, memory in MB, availability."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        name, limit, cpus, memory, available = line.strip().split("|")
        plain = name.rstrip("*")
        before = found.get(plain)
        found[plain] = Partition(
            plain,
            minutes_of(limit),
            max(int(re.sub(r"\D", "", cpus) or 0), before.cpus if before else 0),
            max(int(re.sub(r"\D", "", memory) or 0), before.memory if before else 0),
            name.endswith("*"),
            available == "up",
        )
    return found


def minutes_of(limit: str) -> float | None:
    """Minutes of a time limit as sinfo writes it, ``[days-]hours:minutes:seconds``; None if there is no limit."""
    if not (match := re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 1440 * days + 60 * hours + minutes + seconds / 60


def partition_findings(
    profile: Mapping[str, Any], partitions: Mapping[str, Partition], asked: Mapping[str, Resources]
) -> Iterator[Finding]:
    """Whether the partitions of a profile exist, and have nodes and hours for what the rules ask for."""
    usual = str((profile.get("default-resources") or {}).get("slurm_partition") or "")
    usual = usual or next((each.name for each in partitions.values() if each.default), "")
    for name in sorted({usual, *resources_named(profile, "slurm_partition")}):
        if not name:
            yield Finding("partition", "none named, and Slurm has no default", _naming(partitions))
        elif name not in partitions:
            yield Finding("partition", f"{name} does not exist", _naming(partitions))
        else:
            each = partitions[name]
            limit = "no limit" if each.minutes is None else f"{each.minutes:.0f} minutes"
            text = f"{name}: {limit}, nodes of up to {each.cpus} cores and {each.memory} MB"
            yield Finding("partition", text, None if each.up else "it is down: name another, or wait")
    found = needs(asked, profile)
    own = profile.get("set-resources") or {}
    troubles = [
        trouble
        for need in found
        if (partition := partitions.get(str((own.get(need.rule) or {}).get("slurm_partition") or usual)))
        for trouble in _too_much(need, partition)
    ]
    # The first attempt that asks for too much says it all.
    yield from {finding.text.split(" asks for ")[0]: finding for finding in reversed(troubles)}.values()
    if not troubles:
        most = max((need.memory_gb for need in found), default=0.0)
        yield Finding("resources", f"{len({need.rule for need in found})} rules, up to {most:.0f} GB, fit in")


def _naming(partitions: Mapping[str, Partition]) -> str:
    return f"name one of {', '.join(partitions) or 'the cluster'} as slurm_partition in the profile"


def _too_much(need: Need, partition: Partition) -> Iterator[Finding]:
    """What a job of one rule asks for that no node of the partition has; it would wait for ever, or be refused."""
    has = {"runtime": partition.minutes, "mem_mb": partition.memory, "cpus": partition.cpus}
    for key, unit in (("runtime", "minutes"), ("mem_mb", "MB"), ("cpus", "cores")):
        wanted, limit = getattr(need, key), has[key]
        if wanted is not None and limit and wanted > limit:
            text = f"{need.rule} asks for {wanted:.0f} {unit} at attempt {need.attempt}"
            cap = f"min({wanted / need.attempt:.0f} * attempt, {limit:.0f})"
            remedy = (
                f"set-threads: {need.rule}: {limit:.0f}"
                if key == "cpus"
                else f"set-resources: {need.rule}: {key}: {cap}"
            )
            yield Finding(key, f"{text}, {partition.name} has {limit:.0f}", f"{remedy} in the profile")
