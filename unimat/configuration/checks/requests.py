"""What sampled sets ask for: formulas that can be read, elements of the grid, conditions that the model knows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unimat.configuration.checks import chemistry
from unimat.configuration.checks.models import encode_of, model_of
from unimat.configuration.configuration import SHOWN, Configuration
from unimat.configuration.schema import did_you_mean
from unimat.configuration.sections import options_of
from unimat.errors import UserError
from unimat.model.sampling.formula import chemical_system
from unimat.model.settings import CRYSTAL_CONDITIONS, EncodeSettings, ModelSettings, SampleSettings
from unimat.periodic_table import SYMBOLS
from unimat.settings import load_settings


def mistakes(configuration: Configuration) -> Iterator[str]:
    """What the model of this run could not be asked, which sampling would say only once it is trained."""
    encode = configuration.settings["encode"]
    yield from chemistry.elements("encode.elements", encode.elements or ())
    for key, indices in (("rows", encode.rows), ("columns", encode.columns)):
        if indices is not None and sorted(set(indices)) != list(indices):
            yield f"encode.{key} is {list(indices)}; give rising indices, each once"
    if (configuration.settings["train"].initial or "").endswith(".npz"):
        return  # its own file knows the grid and the conditions
    try:
        laid, model = encode_of(configuration), model_of(configuration)
    except UserError:
        return  # told by the checks of models
    for name in configuration.sets_from("sample"):
        yield from _set(configuration, name, laid, model)


def _set(configuration: Configuration, name: str, encode: EncodeSettings, model: ModelSettings) -> Iterator[str]:
    own = configuration.sets[name]
    try:
        settings = load_settings(SampleSettings, options_of(configuration.values, "sample", own))
    except UserError:
        return  # told already
    asked = _Asked(f"sets.{name}", {key: f"sets.{name}.{key}" if key in own else f"sample.{key}" for key in KEYS})
    yield from _formulas(settings, asked, encode, model, bool(configuration.truths_of(name)))
    yield from _conditions(settings, asked, model, bool(configuration.truths_of(name)))
    yield from _sampler(settings, asked, model)
    yield from _masked(settings, asked, configuration, model)
    yield from _templates(asked, configuration, model)


KEYS = (
    *("composition", "compositions", "chemical_system", "properties", "guidance", "mask_slots", "sampler", "n_atoms"),
    "templates",
)


class _Asked:
    """Where a set's options stand: its own key, or that of the section."""

    def __init__(self, of_set: str, keys: dict[str, str]):
        self.of_set, self.keys = of_set, keys

    def __getitem__(self, key: str) -> str:
        return self.keys[key]


def _formulas(
    settings: SampleSettings, asked: _Asked, encode: EncodeSettings, model: ModelSettings, of_a_set: bool
) -> Iterator[str]:
    wanted: list[tuple[str, Any]] = []
    if settings.composition is not None and not of_a_set:
        counts, wrong = chemistry.formula(settings.composition, asked["composition"])
        yield from wrong
        wanted.append((f"{asked['composition']} {settings.composition!r}", counts))
    if settings.compositions is not None and not of_a_set:
        rows, wrong = chemistry.listed(settings.compositions, asked["compositions"])
        yield from wrong
        place = f"{asked['compositions']}: {settings.compositions}"
        wanted += [(f"{place}, line {line}: {text!r}", counts) for line, text, counts, _ in rows]
    system: tuple[int, ...] | None = None
    if settings.chemical_system is not None:
        try:
            system = chemical_system(settings.chemical_system)
            wanted.append((f"{asked['chemical_system']} {settings.chemical_system!r}", dict.fromkeys(system, 1)))
        except UserError as error:
            yield f"{asked.of_set}: {error}"
    lines = [line for what, counts in wanted for line in _unfit(what, counts, encode, model)]
    yield from lines[: chemistry.SHOWN]
    if len(lines) > chemistry.SHOWN:
        yield f"{asked.of_set}: {len(lines) - chemistry.SHOWN} more compositions do not fit; mend the list or the grid"
    for what, counts in wanted:
        if system is not None and counts and set(counts) != set(system):
            yield f"{what} is not of the chemical_system {settings.chemical_system!r}; take one of the two out"


def _unfit(what: str, counts: Any, encode: EncodeSettings, model: ModelSettings) -> Iterator[str]:
    grid = chemistry.grid_of(encode)
    if grid is not None:
        yield from (f"{line}; name the elements in encode.elements" for line in chemistry.outside(grid, counts, what))
    if encode.slots is not None and model.network != "compact":  # which has no slots
        for number, count in counts.items():
            if count > encode.slots:
                yield f"{what}: {count} atoms of {SYMBOLS[number - 1]}, and encode.slots is {encode.slots}; raise it"


def _conditions(settings: SampleSettings, asked: _Asked, model: ModelSettings, of_a_set: bool) -> Iterator[str]:
    composition = "compositions" if settings.compositions is not None else "composition"
    wanted = {
        "composition": composition if of_a_set or getattr(settings, composition) is not None else None,
        "elements": "chemical_system" if settings.chemical_system is not None else None,
        **dict.fromkeys(settings.properties, "properties"),
    }
    known = (*CRYSTAL_CONDITIONS, *model.conditions) if model.network == "compact" else model.conditions
    for condition, key in wanted.items():
        if key and condition not in known:
            where = f"{asked.of_set}.compositions_of" if of_a_set and condition == "composition" else asked[key]
            there = ", ".join(known) or "none"
            yield (
                f"{where} asks for {condition!r}, which the model is not trained with (model.conditions: {there}); add"
                f" {condition} to model.conditions, or leave it out"
            )
    if settings.guidance and not any(wanted.values()):
        yield f"{asked['guidance']} needs something to strengthen: a composition, chemical_system or property"


def _sampler(settings: SampleSettings, asked: _Asked, model: ModelSettings) -> Iterator[str]:
    of_compact = settings.sampler == "euler"
    if settings.sampler and of_compact != (model.network == "compact"):
        other = "euler" if model.network == "compact" else "ancestral, ddim, dpm++ and heun"
        yield f"{asked['sampler']} is {settings.sampler!r}; network {model.network} has {other}"
    if settings.n_atoms is not None and model.network != "compact":
        yield f"{asked['n_atoms']} is for network compact, and this model is a unet; take it out"


def _masked(
    settings: SampleSettings, asked: _Asked, configuration: Configuration, model: ModelSettings
) -> Iterator[str]:
    if not settings.mask_slots or model.network == "compact":
        return
    of_a_set = "compositions_of" in configuration.sets[asked.of_set.partition(".")[2]]
    if settings.composition is None and settings.compositions is None and not of_a_set:
        yield f"{asked['mask_slots']} needs a composition or compositions: the slots are theirs"
    if not configuration.values.get("pretrained") and configuration.settings["train"].shuffle_slots == "all":
        yield (
            f"{asked['mask_slots']} holds atoms to the first slots, and the model learns to put them on any"
            " (train.shuffle_slots all); set shuffle_slots to occupied, or take mask_slots out"
        )


def _templates(asked: _Asked, configuration: Configuration, model: ModelSettings) -> Iterator[str]:
    name = asked.of_set.partition(".")[2]
    for word, kind in configuration.shown_to(name).items():
        if kind == "file" and word not in configuration.broken and not Path(word).expanduser().exists():
            sets = [each for origin in SHOWN for each in configuration.sets_from(origin)]
            place = f"{asked['templates']} names {word!r}, which is no set from {', '.join(SHOWN)}, nor a file"
            yield f"{place}{did_you_mean(word, sets)}"
        elif configuration.truths_of(name):
            yield f"{asked.of_set} has compositions_of and templates, which both say what is made; take one out"
        elif not model.templates:
            yield f"{asked['templates']}: the model knows no templates; give one trained with model.templates true"
