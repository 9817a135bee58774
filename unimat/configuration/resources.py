"""What the jobs of each rule ask a scheduler for; the rules and `unimat doctor` read the same table."""

import dataclasses
from collections.abc import Sequence

from unimat.configuration.configuration import Configuration
from unimat.configuration.plan import Plan


@dataclasses.dataclass(frozen=True)
class Resources:
    """Memory and time of one rule's jobs.

    Attributes:
        mem_mb: memory at the first attempt, MB; with every retry as much again.
        minutes: run time at the first attempt; None: a local job, which no scheduler sees.
        threads: cores; None: the settings of its set, or of its section, say.
        longer: whether a retry gets as much time again, too.
    """

    mem_mb: int
    minutes: int
    threads: int | None = 1
    longer: bool = True

    def memory(self, attempt: int) -> int:
        return self.mem_mb * attempt

    def runtime(self, attempt: int) -> int:
        return self.minutes * attempt if self.longer else self.minutes


RESOURCES = {
    "fetch": Resources(500, 360),
    "fetch_known": Resources(500, 360),
    "ingest": Resources(4000, 480, threads=4),
    "known": Resources(4000, 480, threads=4),
    "encode": Resources(2000, 120),
    "train": Resources(8000, 1440, threads=8, longer=False),  # it stops by itself, and goes on where it was
    "pretrained": Resources(500, 10),  # the rule train of a run that takes a shipped model
    "sample_set": Resources(8000, 480, threads=8),
    "select_set": Resources(2000, 30),
    "compositions": Resources(1000, 10),
    "convert_set": Resources(4000, 60, threads=4),
    "substitution_set": Resources(3000, 120, threads=4),
    "airss_set": Resources(2000, 120, threads=4),
    "screen_set": Resources(3000, 60, threads=2),
    "agreement_set": Resources(2000, 60),
    "metrics_set": Resources(4000, 480, threads=8),
    "match_set": Resources(4000, 480, threads=8),
    "relax_shard": Resources(3000, 480, threads=None),
    "relax_crystal": Resources(8000, 480, threads=None),
    "gather": Resources(2000, 30),
    "reference": Resources(4000, 120),
    "further_reference": Resources(4000, 120),
    "reference_of_set": Resources(4000, 120),
    "further_reference_of_set": Resources(4000, 120),
    "hull_set": Resources(4000, 240, threads=2),
    "md_set": Resources(4000, 480, threads=None),
    "compare_pair": Resources(2000, 60),
    "report": Resources(2000, 60),
    "reproduction": Resources(2000, 30),
    "silicon_carbon": Resources(2000, 30),
}


def asked_for(
    configuration: Configuration | None = None, targets: Sequence[str] = (), shards: int | None = None
) -> dict[str, Resources]:
    """What the jobs of every rule ask for at most, by the rule's name.

    Args:
        configuration: of the run, of which only the rules of the targets count; None: all rules, by the defaults.
        shards: what `set-scatter` of a profile gives.
    """
    if configuration is None:
        return {name: each for name, each in RESOURCES.items() if name != "pretrained"}
    found: dict[str, Resources] = {}
    for rule, *about in Plan(configuration, targets, shards).jobs:
        key = "pretrained" if rule == "train" and configuration.values.get("pretrained") else rule
        if key in RESOURCES:
            name = about[0] if rule in ("relax_shard", "relax_crystal") else None
            threads = threads_of(key, configuration, name)
            most = max(threads, found[rule].threads or 1) if rule in found else threads
            found[rule] = dataclasses.replace(RESOURCES[key], threads=most)
    return found


def threads_of(rule: str, configuration: Configuration | None = None, name: str | None = None) -> int:
    """Cores of one rule's job.

    Args:
        configuration: of the run; None: the defaults.
        name: of the set that the job works on.
    """
    fixed = RESOURCES[rule].threads
    if fixed is not None or configuration is None:
        return fixed or 1
    if rule == "md_set":
        return configuration.settings["md"].threads
    return configuration.relaxation(name).threads if name else configuration.settings["relax"].threads
