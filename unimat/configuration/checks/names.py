"""Names of sets and of the dataset lead somewhere."""

from collections.abc import Iterable, Iterator

from unimat.configuration.configuration import Configuration
from unimat.configuration.schema import did_you_mean
from unimat.materials.datasets.known import DATASETS


def mistakes(configuration: Configuration) -> Iterator[str]:
    """The dataset and every set that a stage names exist where that stage looks for them."""
    known = [*configuration.sets, *configuration.broken]
    sets_of, name_of_report = configuration.sets_of, configuration.settings["report"].set
    pairs = [name for pair in configuration.pairs for name in pair]
    yield from demand("dataset.name", [configuration.settings["dataset"].name], [*DATASETS, "custom"], "datasets")
    yield from demand("metrics.sets", sets_of("metrics"), known, "sets")
    yield from demand("relax.sets", sets_of("relax"), known, "sets")
    yield from demand("hull.sets", sets_of("hull"), sets_of("relax"), "relax.sets")
    yield from demand("md.sets", sets_of("md"), sets_of("hull"), "hull.sets")
    yield from demand("compare.pairs", pairs, sets_of("hull"), "hull.sets")
    yield from _compositions(configuration)
    yield from _reproduction(configuration)
    if name_of_report:
        yield from demand("report.set", [name_of_report], known, "sets")


def demand(key: str, names: Iterable[str], known: Iterable[str], place: str) -> Iterator[str]:
    """A line for each of `names` that is not known, with what was perhaps meant."""
    known = list(known)
    for name in dict.fromkeys(names):
        if name not in known:
            yield f"{key} names {name!r}, which is not among {place}{did_you_mean(name, known)}"


def _compositions(configuration: Configuration) -> Iterator[str]:
    """Sets that others are made for: before any model, but for random searches, and for nobody themselves.

    Matched are samples and candidates.
    """
    made = configuration.made_for_others()
    for name in made:
        searched = configuration.sets[name]["from"] == "airss"
        origins = ("split", "file", "sample", "substitution") if searched else ("split", "file", "airss")
        there = [each for kind in origins for each in configuration.sets_from(kind) if each not in made]
        place = f"sets from {', '.join(origins[:-1])} or {origins[-1]} without compositions_of"
        key = f"sets.{name}.compositions_of"
        yield from demand(key, [str(configuration.truths_of(name))], [*there, *configuration.broken], place)
        for other in ("composition", "compositions"):
            if other in configuration.sets[name]:
                yield f"sets.{name} has compositions_of and {other}, which contradict each other; take one out"
    matched = [*configuration.made_for_others("sample", "substitution"), *configuration.broken]
    yield from demand("match.sets", configuration.sets_of("match"), matched, "sets with compositions_of")


def _reproduction(configuration: Configuration) -> Iterator[str]:
    """The set that is written down is sampled and judged, where a configuration says anything of it."""
    if "reproduction" in configuration.values:
        sampled = [*configuration.sets_from("sample"), *configuration.broken]
        judged = [name for name in configuration.sets_of("metrics") if name in sampled]
        name = configuration.settings["reproduction"].set
        yield from demand("reproduction.set", [name], judged, "sampled sets of metrics.sets")
