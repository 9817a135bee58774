"""The trained models that a configuration names are there, and its network can be built and trained."""

from collections.abc import Iterator, Mapping
from typing import Any

from unimat.configuration.configuration import Configuration
from unimat.configuration.schema import did_you_mean
from unimat.errors import UserError
from unimat.model.settings import CRYSTAL_CONDITIONS, EncodeSettings, ModelSettings
from unimat.model.shipped.pretrained import card_of, contradictions, model_file
from unimat.settings import load_settings


def mistakes(configuration: Configuration) -> Iterator[str]:
    """What stands against the model that this run trains or takes."""
    name, initial = configuration.values.get("pretrained"), configuration.settings["train"].initial
    if name and initial:
        yield "pretrained trains nothing, so train.initial has nothing to start; take one of them out"
        return
    try:
        if initial:
            model_file(initial)
        if name:
            yield from _unlike(configuration, "pretrained", name, ("encode", "model"))
        elif initial and not initial.endswith(".npz"):
            yield from _unlike(configuration, "train.initial", initial, ("model",))
    except UserError as error:
        yield f"{'pretrained' if name else 'train.initial'}: {error}"
        return
    if not name:
        yield from _network(configuration)


def encode_of(configuration: Configuration) -> EncodeSettings:
    """How the crystals of the run's model are laid out: by the section, or as the card of a shipped model says."""
    name = configuration.values.get("pretrained")
    return _of_card(name, "encode", EncodeSettings) if name else configuration.settings["encode"]


def model_of(configuration: Configuration) -> ModelSettings:
    """The network of the run: keys that the section leaves out are those of the model that it starts from.

    Raises:
        UserError: if there is no such model, or the section is unsound.
    """
    name, initial = configuration.values.get("pretrained"), configuration.settings["train"].initial
    if name:
        return _of_card(name, "model", ModelSettings)
    if initial and not initial.endswith(".npz"):
        given = {**card_of(initial)["settings"]["model"], **configuration.section("model")}
        return load_settings(ModelSettings, given, "model")
    return configuration.settings["model"]


def _of_card(name: str, section: str, kind: Any) -> Any:
    given: Mapping[str, Any] = card_of(name)["settings"][section]
    return load_settings(kind, dict(given), f"the card of {name}")


def _unlike(configuration: Configuration, key: str, name: str, sections: tuple[str, ...]) -> Iterator[str]:
    for section in sections:
        found = contradictions(card_of(name), section, configuration.section(section))
        if found:
            yield f"{key} {name!r} is another model: {'; '.join(found)}; leave {section} out, or train without {key}"


def _network(configuration: Configuration) -> Iterator[str]:
    """What the network cannot be built for, which training would say only once the crystals are encoded."""
    if (configuration.settings["train"].initial or "").endswith(".npz"):
        return  # its own file says
    encode, model = configuration.settings["encode"], model_of(configuration)
    if encode.coordinates != "fractional":
        if model.network == "compact":
            yield "model.network compact needs encode.coordinates fractional: its atoms move on a torus"
        if model.displacement_features:
            yield "model.displacement_features needs encode.coordinates fractional; others have no period"
    for name in model.conditions:
        if name in CRYSTAL_CONDITIONS and model.network == "compact":
            yield f"model.conditions names {name!r}: a compact network is always told the composition; take it out"
        elif name not in (*CRYSTAL_CONDITIONS, *encode.properties):
            known = did_you_mean(name, (*CRYSTAL_CONDITIONS, *encode.properties))
            yield f"model.conditions names {name!r}, which is not among encode.properties; name the column there{known}"
