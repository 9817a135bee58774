"""The jobs that a run takes from its beginning, by rule and by what each is about, without asking Snakemake.

A test holds it against what Snakemake plans.
"""

import collections
import re
from collections.abc import Iterable, Iterator

from unimat.configuration.configuration import Configuration, reference_sets
from unimat.materials.datasets.known import DATASETS

Job = tuple[str, ...]  # rule, and what its wildcards are
# Targets that ask for what other rules make, one kind of it each.
COLLECTING = ("dataset", "sets", "sample", "screen", "agreement", "metrics", "match", "relax", "hull", "md", "compare")
RULE_OF_FILE = {
    "relax": "gather",
    "relaxed": "gather",
    "stability": "hull_set",
    "metrics": "metrics_set",
    "verdicts": "metrics_set",
    "dynamics": "md_set",
}
TARGETS = ("all", *COLLECTING, "encode", "train", "report", "reproduction", "pack", "absorb", "fetch", "ingest")


class Plan:
    """Jobs of some targets.

    Args:
        targets: names of rules, or files under results/; `all` if there are none.
        shards: what `set-scatter` of a profile gives.
    """

    def __init__(self, configuration: Configuration, targets: Iterable[str] = (), shards: int | None = None):
        self.configuration, self._shards = configuration, shards
        self.jobs: dict[Job, None] = {}
        for target in list(targets) or ["all"]:
            for job in self._of_target(target):
                self._add(job)

    @property
    def counts(self) -> dict[str, int]:
        """Number of jobs by rule."""
        return dict(collections.Counter(rule for rule, *_ in self.jobs))

    def sets_of(self, *rules: str) -> list[str]:
        """Sets that jobs of these rules work on."""
        return list(dict.fromkeys(job[1] for job in self.jobs if job[0] in rules))

    def _add(self, job: Job) -> None:
        waiting = [job]
        while waiting:
            each = waiting.pop()
            if each not in self.jobs:
                self.jobs[each] = None
                waiting += self._needs(each)

    def _of_target(self, target: str) -> Iterator[Job]:
        if target in TARGETS or target in ("silicon_carbon", "configuration", "reference"):
            yield (target,)
        elif found := re.search(r"/sets/([^/]+)/(\w+)", target):
            name, kind = found.groups()
            if name in self.configuration.sets and kind in (*RULE_OF_FILE, "crystals"):
                yield self._crystals(name) if kind == "crystals" else (RULE_OF_FILE[kind], name)
        elif target.endswith(("report.html", "headline.json")):
            yield ("report",)

    def _needs(self, job: Job) -> list[Job]:
        rule, *about = job
        find = getattr(self, f"_{rule}", None)
        return list(find(*about)) if find else []

    def _all(self) -> Iterator[Job]:
        yield ("report",)

    def _report(self) -> Iterator[Job]:
        yield from (("ingest",), ("train",), ("configuration",))
        for target in COLLECTING:
            yield from getattr(self, f"_{target}")()

    def _reproduction(self) -> Iterator[Job]:
        yield from (("ingest",), ("train",), ("configuration",), *self._match())
        yield ("metrics_set", self.configuration.settings["reproduction"].set)

    def _dataset(self) -> Iterator[Job]:
        yield ("ingest",)

    def _ingest(self) -> Iterator[Job]:
        settings = self.configuration.settings["dataset"]
        if not settings.source and not (settings.name in DATASETS and DATASETS[settings.name].embedded):
            yield ("fetch",)

    def _encode(self) -> Iterator[Job]:
        yield ("ingest",)

    def _train(self) -> Iterator[Job]:
        if not self.configuration.values.get("pretrained"):
            yield ("encode",)

    def _pack(self) -> Iterator[Job]:
        yield ("train",) if self.configuration.values.get("pretrained") else ("encode",)
        yield from (("compositions", name) for name in self.configuration.made_for_others("sample"))

    _absorb = _pack

    def _sets(self) -> Iterator[Job]:
        yield from map(self._crystals, self.configuration.sets)

    def _sample(self) -> Iterator[Job]:
        yield from map(self._crystals, self.configuration.sets_from("sample"))

    def _screen(self) -> Iterator[Job]:
        yield from map(self._crystals, self.configuration.sets_from("screen"))

    def _agreement(self) -> Iterator[Job]:
        yield from (("agreement_set", name) for name in self.configuration.judged_again())

    def _metrics(self) -> Iterator[Job]:
        yield from (("metrics_set", name) for name in self.configuration.sets_of("metrics"))

    def _match(self) -> Iterator[Job]:
        yield from (("match_set", name) for name in self.configuration.sets_of("match"))

    def _relax(self) -> Iterator[Job]:
        yield from (("gather", name) for name in self.configuration.sets_of("relax"))

    def _hull(self) -> Iterator[Job]:
        yield from (("hull_set", name) for name in self.configuration.sets_of("hull"))

    def _md(self) -> Iterator[Job]:
        yield from (("md_set", name) for name in self.configuration.sets_of("md"))

    def _compare(self) -> Iterator[Job]:
        yield from (("compare_pair", a, b) for a, b in self.configuration.pairs)

    def _crystals(self, name: str) -> Job:
        """The job that makes a set's crystals."""
        rules = {"split": "select_set", "file": "convert_set"}
        origin = self.configuration.sets[name]["from"]
        return rules.get(origin, f"{origin}_set"), name

    def _sample_set(self, name: str) -> Iterator[Job]:
        yield ("train",)
        if self.configuration.truths_of(name):
            yield ("compositions", name)
        yield from (self._crystals(word) for word, kind in self.configuration.shown_to(name).items() if kind == "set")

    def _airss_set(self, name: str) -> Iterator[Job]:
        if self.configuration.truths_of(name):
            yield ("compositions", name)

    def _substitution_set(self, name: str) -> Iterator[Job]:
        if self.configuration.truths_of(name):
            yield ("compositions", name)
        tables = self.configuration.templates_of(name) | self.configuration.known_of(name)
        for word, kind in tables.items():
            if kind in ("split", "set"):
                yield ("ingest",) if kind == "split" else self._crystals(word)

    def _compositions(self, name: str) -> Iterator[Job]:
        yield self._crystals(str(self.configuration.truths_of(name)))

    def _select_set(self, _name: str) -> Iterator[Job]:
        yield ("ingest",)

    def _screen_set(self, name: str) -> Iterator[Job]:
        of = self.configuration.screened_from(name)
        yield from (("hull_set", of), ("gather", of), self._crystals(of))

    def _agreement_set(self, name: str) -> Iterator[Job]:
        for each in (name, self.configuration.screened_from(name)):
            yield from (("hull_set", each), ("gather", each))

    def _metrics_set(self, name: str) -> Iterator[Job]:
        yield from (("ingest",), self._crystals(name), *self._learned())

    def _learned(self) -> Iterator[Job]:
        yield from (("known", name) for name in self.configuration.learned())

    def _known(self, name: str) -> Iterator[Job]:
        if name in self.configuration.learned(fetched=True):
            yield ("fetch_known", name)

    def _match_set(self, name: str) -> Iterator[Job]:
        yield from (self._crystals(name), self._crystals(str(self.configuration.truths_of(name))))

    def _gather(self, name: str) -> Iterator[Job]:
        yield self._crystals(name)
        rule = "relax_crystal" if name in self.configuration.relaxed(dft=True) else "relax_shard"
        shards = self.configuration.shards(name, self._shards)
        yield from ((rule, name, f"{k}-of-{shards}") for k in range(1, shards + 1))

    def _relax_shard(self, name: str, _shard: str) -> Iterator[Job]:
        yield self._crystals(name)

    _relax_crystal = _relax_shard

    def _hull_set(self, name: str) -> Iterator[Job]:
        yield from (("ingest",), ("gather", name), *self._learned())
        own, of_set = self.configuration.changed("hull", name), "_of_set"
        yield ("reference_of_set", name) if "reference" in own else ("reference",)
        for each in self.configuration.hull(name).references:
            yield (f"further_reference{of_set}", name, each) if "references" in own else ("further_reference", each)

    def _reference(self) -> Iterator[Job]:
        yield from self._relaxed_for(self.configuration.settings["hull"].reference)

    def _further_reference(self, name: str) -> Iterator[Job]:
        yield from self._relaxed_for(self.configuration.settings["hull"].references[name])

    def _reference_of_set(self, name: str) -> Iterator[Job]:
        yield from self._relaxed_for(self.configuration.hull(name).reference)

    def _further_reference_of_set(self, name: str, reference: str) -> Iterator[Job]:
        yield from self._relaxed_for(self.configuration.hull(name).references[reference])

    def _relaxed_for(self, reference: object) -> Iterator[Job]:
        yield from (("gather", name) for name in reference_sets(reference))  # type: ignore[arg-type]

    def _md_set(self, name: str) -> Iterator[Job]:
        yield from (("gather", name), ("hull_set", name))

    def _compare_pair(self, a: str, b: str) -> Iterator[Job]:
        yield from (("hull_set", a), ("hull_set", b))

    def _silicon_carbon(self) -> Iterator[Job]:
        yield ("gather", "search")
