"""One run's configuration as an object: its sets, what `by_set` changes, shards, references."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from unimat.configuration.sections import SETTINGS, options_of
from unimat.materials.datasets.known import DATASETS
from unimat.materials.relax.settings import RelaxSettings
from unimat.materials.search.settings import LIBRARIES
from unimat.materials.stability.settings import HullSettings, ReferenceSettings
from unimat.model.shipped.lineage import datasets_of
from unimat.model.shipped.pretrained import model_file
from unimat.settings import load_settings

DFT = ("vasp", "gpaw")  # engines that take one crystal for each job
SPLITS = ("train", "val", "test")
TemplateKind = Literal["split", "set", "name", "file"]
# Origins of sets that may be made for the crystals of others, and the key that says how many for each.
SHOWN = ("substitution", "split", "file")  # origins of sets that a model can be shown as templates
MADE_FOR_OTHERS = {"sample": "n", "substitution": "count", "airss": "per_composition"}
REFERENCE_SPLIT = "test"  # of metrics, where the configuration does not say


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A configuration whose keys and types are sound.

    Attributes:
        values: as the file has it, a sheet of sets read, without empty sections.
        settings: of every section by name.
        broken: names of sets that are given without what makes them; nothing can be said of them.
    """

    values: Mapping[str, Any]
    settings: Mapping[str, Any]
    broken: frozenset[str] = frozenset()

    @property
    def run(self) -> str:
        return self.values["run"]

    @property
    def sets(self) -> dict[str, dict[str, Any]]:
        """Options of the sets of which something can be said, by name."""
        return {name: each for name, each in self.values.get("sets", {}).items() if name not in self.broken}

    def section(self, name: str) -> dict[str, Any]:
        """A section as the file has it; empty if it is absent."""
        return self.values.get(name, {})

    def sets_of(self, section: str) -> list[str]:
        """Names of the sets that a stage works on."""
        return self.section(section).get("sets", [])

    def sets_from(self, origin: str) -> list[str]:
        """Names of the sets of one origin."""
        return [name for name, options in self.sets.items() if options.get("from") == origin]

    @property
    def pairs(self) -> list[list[str]]:
        """Pairs of sets to compare."""
        return self.section("compare").get("pairs", [])

    def truths_of(self, name: str) -> str | None:
        """The set whose compositions a set is made for; None if it has compositions of another kind or none."""
        return self.sets[name].get("compositions_of")

    def made_for_others(self, *origins: str) -> list[str]:
        """Sets that are made for the crystals of another set; of some origins, or of all."""
        made = (name for origin in origins or MADE_FOR_OTHERS for name in self.sets_from(origin))
        return [name for name in made if self.truths_of(name)]

    def per_composition(self, name: str) -> int:
        """Crystals that such a set has for each composition."""
        section = self.sets[name]["from"]
        key = MADE_FOR_OTHERS[section]
        return options_of(self.values, section, self.sets[name]).get(key, getattr(self.settings[section], key))

    def shown_to(self, name: str) -> dict[str, TemplateKind]:
        """The templates of a sampled set, a set or a file, by its word in the configuration; nothing without."""
        word = options_of(self.values, "sample", self.sets[name]).get("templates")
        sets = [each for origin in SHOWN for each in self.sets_from(origin)]
        return {} if word is None else {word: "set" if word in sets else "file"}

    def templates_of(self, name: str) -> dict[str, TemplateKind]:
        """What a set from substitution takes its templates from, by its word in the configuration."""
        return self._tables_of(name, "templates")

    def known_of(self, name: str) -> dict[str, TemplateKind]:
        """What further crystals have compositions that are not new to a set from substitution."""
        return self._tables_of(name, "known")

    def _tables_of(self, name: str, key: str) -> dict[str, TemplateKind]:
        given = options_of(self.values, "substitution", self.sets[name]).get(key, ())
        words = [given] if isinstance(given, str) else given
        sets = [each for origin in ("split", "file") for each in self.sets_from(origin)]
        kinds: dict[str, TemplateKind] = {**dict.fromkeys(LIBRARIES, "name"), **dict.fromkeys(sets, "set")}
        kinds |= dict.fromkeys(SPLITS, "split")
        return {word: kinds.get(word, "file") for word in words}

    def discovers(self, name: str) -> bool:
        """Whether a set from substitution has crystals of new compositions."""
        return options_of(self.values, "substitution", self.sets[name]).get("n") is not None

    def screened_from(self, name: str) -> str:
        """The judged set that a screened one was chosen from."""
        return self.sets[name]["of"]

    def judged_again(self) -> list[str]:
        """Screened sets that are judged, so that their verdicts can be held against the first ones."""
        return [name for name in self.sets_from("screen") if name in self.sets_of("hull")]

    def changed(self, section: str, name: str | None) -> dict[str, Any]:
        """What `by_set` puts in the place of a section's keys for one set; nothing for None.

        A hull reference of its own comes without the section's further ones, whose energies are of another type.
        """
        own = self.section(section).get("by_set", {}).get(name, {})
        return ({"references": {}} if "reference" in own else {}) | own

    def settings_of(self, section: str, name: str | None) -> Any:
        """Settings of a section for one set.

        Raises:
            UserError: if they contradict each other.
        """
        own = self.changed(section, name)
        if not own:
            return self.settings[section]
        return load_settings(SETTINGS[section], options_of(self.values, section, own), f"{section}.by_set.{name}")

    def relaxation(self, name: str) -> RelaxSettings:
        return self.settings_of("relax", name)

    def hull(self, name: str | None) -> HullSettings:
        return self.settings_of("hull", name)

    def relaxed(self, dft: bool) -> list[str]:
        """Names of the relaxed sets whose engine is one of DFT, or of all the others."""
        return [name for name in self.sets_of("relax") if (self.relaxation(name).engine in DFT) == dft]

    def own_shards(self, name: str) -> int | None:
        """Shards of a set that does not take the section's, or the profile's; None if it does.

        A set with an engine of DFT of its own has one shard for each crystal, where the configuration says how many.
        """
        own, options = self.changed("relax", name), self.sets[name]
        one_each = options.get("take") if own.get("engine") in DFT else None
        return own.get("shards", one_each)

    def shards(self, name: str, of_profile: int | None = None) -> int:
        """Jobs that share the relaxation of one set.

        Args:
            of_profile: what `set-scatter` gives, if it does.
        """
        return self.own_shards(name) or of_profile or self.section("relax").get("shards", 1)

    def _of_models(self) -> list[str]:
        """Published datasets that a model which this run takes, or begins with, was trained on."""
        source = self.values.get("pretrained") or self.settings["train"].initial
        if not source or not self.settings["hull"].known_of_model:
            return []
        path = model_file(source)
        return [name for name in datasets_of(path) if name in DATASETS] if path.exists() else []

    def learned(self, fetched: bool = False) -> list[str]:
        """Published datasets, beside the run's own, that its model learned before.

        Args:
            fetched: leave out those that come with unimat.
        """
        others = [name for name in self._of_models() if name != self.settings["dataset"].name]
        return [name for name in others if not (fetched and DATASETS[name].embedded)]

    @property
    def learned_tables(self) -> list[str]:
        """Training and validation tables of the run that an initial model lies in, as far as they are there."""
        source = self.settings["train"].initial or ""
        if not source.endswith(".npz") or not self.settings["hull"].known_of_model:
            return []
        of_run = Path(source).expanduser().absolute().parent
        if of_run.name != "model":
            return []
        folder = of_run.parent / "dataset"
        return [str(path) for split in ("train", "val") if (path := folder / f"{split}.parquet").exists()]

    @property
    def learned_own(self) -> bool:
        """Whether the run's own dataset is one of these."""
        return self.settings["dataset"].name in self._of_models()

    @property
    def reference_split(self) -> str:
        """The split that metrics measure against."""
        return self.section("metrics").get("reference_split", REFERENCE_SPLIT)


def reference_sets(reference: ReferenceSettings) -> list[str]:
    """Names of the relaxed sets that a hull reference is made of."""
    return list(dict.fromkeys(part.set for part in reference.parts.values() if part.kind == "set"))
