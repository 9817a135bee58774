"""What sets from substitution ask for: formulas that can be read, templates and known crystals that are there."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from unimat.configuration.checks import chemistry
from unimat.configuration.checks.files import key_of_set, missing, unfit
from unimat.configuration.configuration import SPLITS, Configuration, TemplateKind
from unimat.configuration.schema import did_you_mean
from unimat.configuration.sections import options_of
from unimat.errors import UserError
from unimat.materials.search.settings import LIBRARIES, SubstitutionSettings
from unimat.settings import load_settings


def mistakes(configuration: Configuration) -> Iterator[str]:
    """What no substitution would find."""
    for name in configuration.sets_from("substitution"):
        own = configuration.sets[name]
        try:
            settings = load_settings(SubstitutionSettings, options_of(configuration.values, "substitution", own))
        except UserError:
            continue  # told already
        if not configuration.templates_of(name):
            yield (
                f"sets.{name}: give `templates`: train, a set from split or file, aflow, a published dataset, or a file"
                " of known crystals"
            )
        yield from _tables(
            configuration, key_of_set(configuration, name, "templates"), configuration.templates_of(name)
        )
        yield from _tables(configuration, key_of_set(configuration, name, "known"), configuration.known_of(name))
        if configuration.truths_of(name) and settings.n is not None:
            yield f"sets.{name} has compositions_of and n, which contradict each other; take one out"
        elif not configuration.truths_of(name) and settings.n is None:
            yield from _compositions(settings, f"sets.{name}", key_of_set(configuration, name, "compositions"))


def _tables(configuration: Configuration, key: str, kinds: Mapping[str, TemplateKind]) -> Iterator[str]:
    for word in (word for word, kind in kinds.items() if kind == "file"):
        if word in configuration.broken:
            continue  # told already
        if Path(word).name == word and not Path(word).suffix and not Path(word).exists():
            sets = [each for origin in ("split", "file") for each in configuration.sets_from(origin)]
            remedy = did_you_mean(word, [*SPLITS, *sets, *LIBRARIES])
            yield f"{key} names {word!r}, which is no split, set from split or file, library nor file{remedy}"
        elif unfit(word) is None:
            yield from missing(key, word)


def _compositions(settings: SubstitutionSettings, of_set: str, key: str) -> Iterator[str]:
    asked = settings.compositions
    if not asked:
        yield f"{of_set}: give `compositions`, `compositions_of` a set, or `n` for new ones"
    elif not isinstance(asked, str):
        for index, text in enumerate(asked):
            yield from chemistry.formula(text, f"{key}.{index}")[1]
    elif Path(asked).suffix.lower() == ".csv":
        yield from chemistry.listed(asked, key)[1]
    elif unfit(asked) is None:
        yield from missing(key, asked)
