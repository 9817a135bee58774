"""Mistakes of configurations, each as one writes it, and the line that it gets before any job."""
# ruff: noqa: E501  (a table reads by its rows)

from pathlib import Path
from typing import Any

import pytest
import yaml

from unimat.configuration.reading import document_of, read, read_files
from unimat.errors import UserError

BASE = """
run: mine
seed: 0
dataset: {name: silicon_carbon}
encode: {elements: [C, Si], slots: 8, max_atoms: 8}
model: {channels: 64, multipliers: [1], conditions: [composition]}
train: {batch_size: 64, steps: 4000}
sample: {n: 10}
sets:
  generated: {from: sample}
  test: {from: split, split: test, take: 50}
  reference: {from: split, split: train}
metrics: {sets: [generated]}
relax: {sets: [generated, test, reference], shards: 2, engine: chgnet}
hull: {sets: [generated, test], reference: {kind: set, set: reference}}
compare: {pairs: [[generated, test]]}
"""

# Dotted keys and their values (None takes the key out) -> the only line.
OF_VALUES: list[tuple[dict[str, Any], str]] = [
    # keys and types
    ({"metricz": {}}, "unknown key 'metricz'; did you mean 'metrics'?"),
    ({"train.lerning_rate": 1e-3}, "unknown key 'train.lerning_rate'; did you mean 'learning_rate'?"),
    ({"dataset.split": {"knid": "auto"}}, "unknown key 'dataset.split.knid'; did you mean 'kind'?"),
    ({"sets.test.tkae": 3}, "unknown key 'sets.test.tkae'; did you mean 'take'?"),
    ({"relax.vasp": {"comand": "x"}}, "unknown key 'relax.vasp.comand'; did you mean 'command'?"),
    ({"relax.by_set": {"test": {"fmx": 1}}}, "unknown key 'relax.by_set.test.fmx'; did you mean 'fmax'?"),
    ({"hull.references": {"b": {"knd": "set"}}}, "unknown key 'hull.references.b.knd'; did you mean 'kind'?"),
    ({"train.steps": "ten"}, "train.steps is 'ten'; it must be of type integer"),
    ({"train.steps": "4000"}, "train.steps is '4000'; it must be of type integer; write it without quotes and unit"),
    ({"relax.fmax": "0.05 eV/Å"}, "relax.fmax is '0.05 eV/Å'; it must be of type number; write it without quotes"),
    ({"train.steps": 10.5}, "train.steps is 10.5; it must be of type integer"),
    ({"train.batch_size": True}, "train.batch_size is True; it must be of type integer"),
    ({"train.learning_rate": None}, "train.learning_rate is None; it must be of type number"),
    ({"encode.elements": "C"}, "encode.elements is 'C'; it must be of type array or null"),
    ({"sets": ["generated"]}, "sets is ['generated']; it must be of type object"),
    ({"run": None}, "the configuration: 'run' is a required property"),
    ({"dataset": None}, "the configuration: 'dataset' is a required property"),
    # names
    ({"run": "../mine"}, "run is '../mine'; it must match"),
    ({"run": "a/b"}, "run is 'a/b'; it must match"),
    ({"run": "my run"}, "run is 'my run'; it must match"),
    ({"run": "mine\n"}, r"run is 'mine\n'; it must match"),
    ({"run": ".."}, "run is '..'; it must match"),
    ({"run": "$(touch pwned)"}, "run is '$(touch pwned)'; it must match"),
    ({"run": "r" * 101}, "it must have at most 100 characters"),
    ({"sets.a b": {"from": "sample"}}, "a name in sets is 'a b'; it must match"),
    ({"sets.a/b": {"from": "sample"}}, "a name in sets is 'a/b'; it must match"),
    ({"sets...": {"from": "sample"}}, "a name in sets is "),
    ({"hull.references": {"a/../b": {}}}, "a name in hull.references is 'a/../b'; it must match"),
    ({"metrics.sets": ["generatd"]}, "metrics.sets names 'generatd', which is not among sets; did you mean 'generated'?"),
    ({"relax.sets": ["generated", "test", "reference", "tst"]}, "relax.sets names 'tst', which is not among sets; did"),
    ({"metrics.sets": ["generated", "generated"]}, "metrics.sets is ['generated', 'generated']; its values must differ"),
    ({"dataset.name": "silicon_carbide"}, "dataset.name names 'silicon_carbide', which is not among datasets; did you"),
    ({"report": {"set": "tst"}}, "report.set names 'tst', which is not among sets; did you mean 'test'?"),
    ({"sets.made": {"from": "sample", "compositions_of": "tst"}}, "sets.made.compositions_of names 'tst', which is not"),
    ({"relax.engine": "chgnett"}, "relax.engine is 'chgnett'; did you mean 'chgnet'? (one of chgnet, "),
    ({"pretrained": "perov5"}, "pretrained: no trained model 'perov5'; there are: "),
    ({"train.initial": "nowhere/model.npz"}, "train.initial: nowhere/model.npz does not exist"),
    # numbers out of any range
    ({"relax.min_distance": 50}, "relax.min_distance is 50 Å; it must be at most 2.5 Å"),
    ({"relax.fmax": 0}, "relax.fmax is 0 eV/Å; it must be greater than 0 eV/Å"),
    ({"relax.min_volume_per_atom": 500}, "relax.min_volume_per_atom is 500 Å^3; it must be at most 20 Å^3"),
    ({"relax.threads": 10000}, "relax.threads is 10000; it must be at most 1024"),
    ({"relax.gpaw": {"cutoff": 1e6}}, "relax.gpaw.cutoff is 1000000.0 eV; it must be at most 5000 eV"),
    ({"relax.gpaw": {"moments": {"Fe": 500}}}, "relax.gpaw.moments.Fe is 500; it must be at most 20"),
    ({"metrics.symprec": 30}, "metrics.symprec is 30 Å; it must be at most 1 Å"),
    ({"hull.match_below": 1000}, "hull.match_below is 1000 eV/atom; it must be at most 10 eV/atom"),
    ({"md": {"temperature": 1e9}}, "md.temperature is 1000000000.0 K; it must be at most 100000 K"),
    ({"model.dropout": 1.5}, "model.dropout is 1.5; it must be at most 0.95"),
    ({"encode.max_rejected": 87}, "encode.max_rejected is 87; it must be at most 1"),
    ({"train.learning_rate": float("nan")}, "train.learning_rate is nan; give a finite number"),
    ({"train.gradient_clip": float("inf")}, "train.gradient_clip is inf; give a finite number"),
    ({"train.warmup_steps": 10**6}, "train: warmup_steps must lie in [0, 4000], found 1000000"),
    # elements, formulas, grids
    ({"encode.elements": ["C", "si"]}, "encode.elements names 'si', which is no element; did you mean 'Si'?"),
    ({"encode.elements": ["C", "Si", "Xx"]}, "encode.elements names 'Xx', which is no element"),
    ({"encode.elements": ["C", "Si", "C"]}, "encode.elements names 'C' twice; leave it once"),
    ({"dataset.elements": ["Carbon"]}, "dataset.elements names 'Carbon', which is no element"),
    ({"sets.generated.composition": "GaN"}, "sets.generated.composition 'GaN': Ga, N has no cell in the grid of the mod"),
    ({"sample.composition": "GaN"}, "sample.composition 'GaN': Ga, N has no cell in the grid of the model, which holds"),
    ({"sets.generated.composition": "C9"}, "sets.generated.composition 'C9': 9 atoms of C, and encode.slots is 8; raise"),
    ({"sets.generated.composition": "SiC1.5"}, "sets.generated.composition: the formula 'SiC1.5' has C1.5, which is no whole number of atoms"),
    ({"sets.generated.composition": "CuSO4.5H2O"}, "the formula 'CuSO4.5H2O' can be read in two ways"),
    ({"sets.generated.composition": "Si4+C"}, "sets.generated.composition: the formula 'Si4+C' cannot be read: it carries a charge or a minus sign"),
    ({"sets.generated.composition": "siC"}, "sets.generated.composition: the formula 'siC' cannot be read at 'siC': expected the symbol of an element"),
    ({"sets.generated.composition": ""}, "sets.generated.composition is ''; it must not be empty"),
    ({"model.conditions": ["elements"], "sets.generated.chemical_system": "Si+C"}, "chemical_system 'Si+C': 'Si+C' is no element; join symbols by hyphens"),
    ({"sets.generated.properties": {"band_gap": 1}}, "sets.generated.properties asks for 'band_gap', which the model is"),
    ({"model.conditions": ["composition", "gap"]}, "model.conditions names 'gap', which is not among encode.properties"),
    ({"sets.generated.guidance": 2}, "sets.generated.guidance needs something to strengthen: a composition"),
    ({"sample.sampler": "euler"}, "sample.sampler is 'euler'; network unet has ancestral, ddim, dpm++ and heun"),
    ({"sets.generated.n_atoms": 8}, "sets.generated.n_atoms is for network compact, and this model is a unet"),
    ({"model.conditions": [], "sets.generated.composition": "SiC"}, "sets.generated.composition asks for 'composition', "),
    ({"sets.generated.templates": "test"}, "sets.generated.templates: the model knows no templates; give one trained with model.templates true"),
    ({"sets.generated.templates": "tst"}, "sets.generated.templates names 'tst', which is no set from substitution, split, file, nor a file; did you mean 'test'?"),
    ({"sets.predicted": {"from": "sample", "compositions_of": "test", "templates": "test"}}, "sets.predicted has compositions_of and templates, which both say what is made"),
    ({"encode.elements": None, "encode.rows": [3, 1]}, "encode.rows is [3, 1]; give rising indices, each once"),
    ({"sets.search": {"from": "airss", "elements": ["C", "Zz"]}}, "sets.search.elements names 'Zz', which is no element"),
    ({"sets.search": {"from": "airss", "compositions": ["SiC", "x"]}}, "sets.search.compositions.1: the formula 'x' cannot be read at 'x'"),
    ({"sets.search": {"from": "airss"}}, "sets.search: give `elements` to combine, `compositions` to search, or `comp"),
    ({"sets.search": {"from": "airss", "compositions_of": "tst"}}, "sets.search.compositions_of names 'tst', which is not among sets from split, file, sample or substitution without compositions_of"),
    ({"sets.search": {"from": "airss", "compositions_of": "generated", "compositions": ["SiC"]}}, "sets.search has compositions_of and compositions, which contradict"),
    ({"sets.search": {"from": "airss", "compositions_of": "generated"}, "match": {"sets": ["search"]}}, "match.sets names 'search', which is not among sets with compositions_of"),
    ({"sets.found": {"from": "substitution", "templates": "train"}}, "sets.found: give `compositions`, `compositions_of` a set, or `n` for new ones"),
    ({"sets.found": {"from": "substitution", "templates": "train", "n": 9, "compositions": ["SiC"]}}, "sets.found: n asks for new compositions and `compositions` for given ones; take"),
    ({"sets.found": {"from": "substitution", "templates": "train", "n": 9, "compositions_of": "test"}}, "sets.found has compositions_of and n, which contradict"),
    ({"sets.found": {"from": "substitution", "templates": "train", "n": 9, "known": ["val", "no.csv"]}}, "sets.found.known names 'no.csv', and there is no such file"),
    ({"sets.found": {"from": "substitution", "templates": "train", "n": 9, "elements": ["Si", "Xx"]}}, "sets.found: elements: 'Xx' is no element"),
    ({"sets.found": {"from": "substitution", "templates": "train", "n": 9, "partial": 2}}, "sets.found.partial is 2; it must be at most 1"),
    ({"sets.found": {"from": "substitution", "compositions": ["SiC"]}}, "sets.found: give `templates`: train, a set from split or"),
    ({"sets.found": {"from": "substitution", "templates": "tran", "compositions": ["SiC"]}}, "sets.found.templates names 'tran', which is no split, set from split or file, library nor file; did you mean 'train'?"),
    ({"sets.found": {"from": "substitution", "templates": "generated", "compositions": ["SiC"]}}, "sets.found.templates names 'generated', which is no split, set"),
    ({"sets.found": {"from": "substitution", "templates": ["train", "no.csv"], "compositions": ["SiC"]}}, "sets.found.templates names 'no.csv', and there is no such file"),
    ({"sets.found": {"from": "substitution", "templates": ["train", "a<b.csv"], "compositions": ["SiC"]}}, "sets.found.templates[1] is 'a<b.csv': Snakemake reads"),
    ({"substitution": {"templates": "train"}, "sets.found": {"from": "substitution", "compositions": ["SiC", "Si0.5C"]}}, "sets.found.compositions.1: the formula 'Si0.5C' has Si0.5"),
    ({"sets.found": {"from": "substitution", "templates": "train", "compositions": "no.csv"}}, "sets.found.compositions names 'no.csv', and there is no"),
    ({"sets.found": {"from": "substitution", "templates": "train", "compositions_of": "tst"}}, "sets.found.compositions_of names 'tst', which is not among"),
    ({"sets.found": {"from": "substitution", "templates": "train", "compositions_of": "test", "compositions": ["SiC"]}}, "sets.found has compositions_of and compositions, which contradict"),
    ({"sets.found": {"from": "substitution", "templates": "train", "compositions": ["SiC"], "count": 0}}, "sets.found.count is 0 crystals; it must be at least 1"),
    ({"hull.reference": {"kind": "materials_project_api", "chemical_systems": ["Si-Xx"]}}, "'Si-Xx' names 'Xx', which is"),
    # data and files
    ({"dataset": {"name": "custom"}}, "dataset: dataset 'custom' needs source: a file or folder of crystals"),
    ({"dataset": {"name": "custom", "source": "no.csv"}}, "dataset.source names 'no.csv', and there is no such file or"),
    ({"dataset": {"name": "mp_20", "source": "x.csv"}}, "dataset: source is for dataset 'custom' only"),
    ({"dataset.mirror": "no/such"}, "dataset.mirror names 'no/such', and there is no such folder"),
    ({"dataset": {"name": "mp_20", "files": {"train": "x"}}}, "dataset.files.train names 'x', and there is no such"),
    ({"dataset": {"name": "perov_5", "limit": 32}}, "train.batch_size is 64 crystals, and the train split has at most 32"),
    ({"dataset": {"name": "perov_5"}, "train.batch_size": 20000}, "the train split has at most 11356 (as perov_5 is pu"),
    ({"sets.mine": {"from": "file", "path": "my.cif"}}, "sets.mine.path names 'my.cif', and there is no such file"),
    ({"sets.mine": {"from": "file", "path": "a{b}.cif"}}, "sets.mine.path is 'a{b}.cif': Snakemake reads { } < > in a"),
    ({"metrics.cache": "a\nb"}, r"metrics.cache is 'a\nb': a name with a line break or another control character"),
    ({"relax.cache": "-rf"}, "relax.cache is '-rf': a command would take a name with a leading hyphen for a flag"),
    ({"hull.known": ["old.parquet"]}, "hull.known[0] names 'old.parquet', and there is no such file or folder"),
    ({"sample.compositions": "no.csv"}, "sample.compositions names 'no.csv', and there is no such file"),
    ({"sets": "no.tsv"}, "sets: no sheet 'no.tsv'; give a tab-separated file with columns set and from, or a mapping"),
    # stages against each other
    ({"hull.sets": ["generated"], "compare": None, "md": {"sets": ["test"]}}, "md.sets names 'test', which is not among"),
    ({"relax.by_set": {"test": {"sets": []}}}, "relax.by_set.test.sets: the whole section has it, not one set; take it"),
    ({"relax.by_set": {"test": {"engine": "gpaw"}}}, "compare.pairs: 'generated' is relaxed by chgnet and 'test' by gpaw"),
    ({"sets.best": {"from": "screen", "of": "best"}}, "sets.best.of names the set itself; name a judged set to choose"),
    ({"faithful": True, "model.prediction": "v"}, "model.prediction is 'v', and faithful fixes it at 'epsilon'"),
    ({"pretrained": "carbon_24", "encode": None, "model": None, "train": {"initial": "carbon_24"}}, "pretrained trains no"),
]  # fmt: skip

# Whole texts -> the only line, after the name of the file.
OF_TEXTS: list[tuple[str, str]] = [
    (BASE + "seed: 1\n", "lines 3 and 17: key 'seed' stands twice; keep one of them"),
    (BASE.replace("shards: 2", "shards: 2, shards: 3"), "line 14: key 'relax.shards' stands twice; keep one of them"),
    (BASE.replace("[C, Si]", "[C, Si, No]"), "encode.elements.2 is False; YAML takes the unquoted No for a truth value; "),
    (BASE.replace("{from: sample}", "{from: sample, composition: NO}"), "sets.generated.composition is False; YAML takes"),
    (BASE.replace("{from: sample}", "{from: sample, composition: ON}"), "YAML takes the unquoted ON for a truth value"),
    (BASE.replace("  test:", "  on:"), "line 11: key sets.on: YAML takes the unquoted on for a truth value; quote it"),
    (BASE.replace("run: mine", "run: 2020-01-01"), "line 2: run: YAML reads 2020-01-01 as a date; quote it"),
    (BASE.replace("run: mine", "run: 007"), "line 2: run: YAML reads 007 to base 8; leave out the leading zero, or quote"),
    (BASE.replace("run: mine", "run: 12"), "run is 12; YAML takes the unquoted 12 for a number; quote it: '12'"),
    (BASE.replace("take: 50", "take: 1:30"), "line 11: sets.test.take: YAML reads 1:30 to base 60; quote it, or write"),
    (BASE.replace("steps: 4000", "learning_rate: .nan"), "line 7: train.learning_rate: .nan is no finite number; give one"),
    ("", "the configuration is empty; it needs at least run and dataset"),
    ("# nothing yet\n", "the configuration is empty; it needs at least run and dataset"),
    ("- run: mine\n", "the configuration is a list, no mapping of keys to values; it needs at least run and dataset"),
    ("mine\n", "the configuration is a str, no mapping of keys to values"),
]  # fmt: skip

SOUND: list[str] = [
    BASE,
    "\ufeff" + BASE,
    BASE.replace("\n", "\r\n"),
    BASE.replace("[C, Si]", "[C, Si, 'No']"),
    BASE.replace("steps: 4000", "steps: 4e3, learning_rate: 1e-3"),
    BASE.replace("seed: 0", "seed: 0\nairss:"),  # an empty section
    BASE.replace("relax: {", "shared: &shared {fmax: 0.1}\nrelax: {<<: *shared, ")
    .replace("shared: &", "md: &")
    .replace("md: &shared {fmax: 0.1}", "report: &shared {}"),
]


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    values = yaml.safe_load(BASE)
    for dotted, value in changes.items():
        *parents, last = dotted.split(".", 1) if dotted.startswith("sets..") else dotted.split(".")
        section = values
        for parent in parents:
            section = section.setdefault(parent, {})
        if value is None and last not in ("learning_rate",):
            section.pop(last)
        else:
            section[last] = value
    return values


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, in which none of the named files is."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("changes", "said"), OF_VALUES, ids=[str(next(iter(each))) for each, _ in OF_VALUES])
def test_a_mistake_is_one_line_and_the_only_one(changes: dict[str, Any], said: str):
    lines = read(changed(changes), ["config/mine.yaml"]).mistakes
    assert said in lines[0]
    assert lines[0].startswith("config/mine.yaml: ")
    # No mistake brings others with it, but what was asked of a source that is not there stays unanswered.
    assert len(lines) == 1, lines
    assert "\n" not in lines[0]


@pytest.mark.parametrize(("text", "said"), OF_TEXTS, ids=range(len(OF_TEXTS)))
def test_a_mistake_in_a_text_is_one_line_with_the_name_of_the_file(text: str, said: str):
    Path("mine.yaml").write_text(text, encoding="utf-8")
    lines = read_files("mine.yaml").mistakes
    assert lines[0].startswith("mine.yaml")
    assert said in lines[0]
    assert "\n" not in lines[0]


@pytest.mark.parametrize("text", SOUND, ids=range(len(SOUND)))
def test_a_sound_text_is_sound(text: str):
    Path("mine.yaml").write_text(text, encoding="utf-8", newline="")
    assert read_files("mine.yaml").mistakes == ()


def test_all_mistakes_of_a_configuration_are_told_together():
    assert len(OF_VALUES) + len(OF_TEXTS) > 79
    text = BASE.replace("steps: 4000", "stepz: 4000").replace("[C, Si]", "[C, si]").replace("fmax", "fmx")
    text = text.replace("shards: 2", "shards: 0").replace("from: split, split: test", "from: splt, split: test")
    Path("mine.yaml").write_text(text + "seed: 1\n", encoding="utf-8")
    assert [line.partition(": ")[2].split(";")[0] for line in read_files("mine.yaml").mistakes] == [
        "key 'seed' stands twice",
        "relax.shards is 0",
        "sets.test.from is 'splt'",
        "unknown key 'train.stepz'",
        "encode.elements names 'si', which is no element",
    ]


def test_a_file_that_is_no_yaml_or_not_there_is_a_line():
    Path("tab.yaml").write_text("run: mine\ndataset:\n\tname: mp_20\n", encoding="utf-8")
    Path("latin.yaml").write_bytes("run: mine\nreport: {title: café}\n".encode("latin-1"))
    for name, said in (
        ("tab.yaml", "tab.yaml, line 3: a tab, where YAML takes spaces alone"),
        ("latin.yaml", "latin.yaml, line 2: byte 0xe9 ('é' in latin-1) is not UTF-8"),
        ("no.yaml", "no.yaml does not exist"),
    ):
        with pytest.raises(UserError) as caught:
            document_of(name)
        assert str(caught.value).startswith(said)


def test_of_several_files_the_later_goes_before_the_earlier_key_by_key():
    Path("base.yaml").write_text(BASE, encoding="utf-8")
    Path("more.yaml").write_text("train: {batch_size: 32}\nencode: {slots: 4}\n", encoding="utf-8")
    reading = read_files("base.yaml", "more.yaml")
    assert reading.mistakes == ()
    settings = reading.configuration.settings
    assert (settings["train"].batch_size, settings["train"].steps, settings["encode"].slots) == (32, 4000, 4)


def custom(**dataset: Any) -> tuple[str, ...]:
    values = changed({"dataset": {"name": "custom", **dataset}, "train.batch_size": 2})
    return read(values, ["mine.yaml"]).mistakes


def test_columns_that_a_table_lacks_are_told_with_those_that_it_has():
    Path("mine.csv").write_text("id,cif,gap\n" + "1,x,2\n" * 9, encoding="utf-8")
    assert custom(source="mine.csv", properties={"gap": {"unit": "eV"}}) == ()
    (line,) = custom(source="mine.csv", properties={"band_gap": {"column": "gpa"}})
    said = "dataset.properties.band_gap reads the column 'gpa', which mine.csv lacks; did you mean 'gap'?"
    assert line == f"mine.yaml: {said}"
    (line,) = custom(source="mine.csv", id_column="material", structure_column="cif")
    assert line.endswith(
        "dataset.id_column reads the column 'material', which mine.csv lacks; its columns: id, cif, gap"
    )


def test_columns_of_parquet_and_of_a_table_beside_the_crystals():
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"name": ["a"] * 9, "poscar": ["x"] * 9}), "mine.parquet")
    Path("beside.csv").write_text("name,energy\n", encoding="utf-8")
    (line,) = custom(source="mine.parquet", properties={"e": {"column": "enregy"}})
    assert "which mine.parquet lacks; its columns: name, poscar" in line
    (line,) = custom(source="mine.parquet", table="beside.csv", properties={"e": {"column": "enregy"}})
    assert "which beside.csv lacks; did you mean 'energy'?" in line


def test_sources_that_cannot_be_read_are_told():
    Path("empty").mkdir()
    Path("nothing.csv").touch()
    Path("gone").symlink_to("nowhere")
    assert custom(source="empty")[0].endswith(
        "names 'empty', which is an empty folder; put crystals there, or give another"
    )
    assert custom(source="nothing.csv")[0].endswith("names 'nothing.csv', which is an empty file; give another")
    assert "names 'gone', and a link that leads nowhere" in custom(source="gone")[0]
    assert "dataset.source.train names 'no'" in custom(source={"train": "no", "val": "empty"})[0]
    assert "dataset.table names 'no.csv'" in custom(source="empty", table="no.csv")[-1]


@pytest.mark.parametrize(
    ("split", "most"),
    [({}, 6), ({"kind": "fractions", "fractions": [0.9, 0.05, 0.05]}, 9), ({"kind": "given"}, 10)],
)
def test_a_batch_that_a_table_or_a_folder_cannot_fill_is_told_with_the_number(split: dict[str, Any], most: int):
    Path("mine.csv").write_text("id,cif\n" + '1,"data_x\n\n"\n' * 10, encoding="utf-8")
    Path("cifs").mkdir()
    for index in range(9):
        Path(f"cifs/{index}.cif").write_text("data_a\n" if index else "data_a\ndata_b\n", encoding="utf-8")
    for source in ("mine.csv", "cifs"):
        dataset = {"name": "custom", "source": source, "split": split}
        (line,) = read(changed({"dataset": dataset, "train.batch_size": most + 1}), []).mistakes
        assert f"train.batch_size is {most + 1} crystals, and the train split has at most {most} (" in line
        assert read(changed({"dataset": dataset, "train.batch_size": most}), []).mistakes == ()


def test_lines_of_a_list_of_compositions_are_told_by_their_numbers():
    Path("formulas.csv").write_text("formula,count\nSiC,2\nNaN,1\nSi2C,many\nSi0.5C\nH2O\n,\n", encoding="utf-8")
    lines = read(changed({"sample.compositions": "formulas.csv"}), ["mine.yaml"]).mistakes
    assert [line.removeprefix("mine.yaml: sample.compositions: formulas.csv, ") for line in lines] == [
        "line 4: count 'many' is no whole number from 1",
        "line 5: the formula 'Si0.5C' has Si0.5, which is no whole number of atoms; give symbols and whole numbers of atoms, e.g. Li4Fe4P4O16",
        "line 7: no formula; give symbols and whole numbers of atoms, e.g. Li4Fe4P4O16",
        "line 3: 'NaN': Na, N has no cell in the grid of the model, which holds C, Si; name the elements in encode.elements",
        "line 6: 'H2O': H, O has no cell in the grid of the model, which holds C, Si; name the elements in encode.elements",
    ]


def test_a_shipped_model_is_asked_for_its_own_grid_and_conditions():
    values = changed({"pretrained": "carbon_24", "encode": None, "model": None, "train": None})
    assert (
        read({**values, "sets": {**values["sets"], "generated": {"from": "sample", "composition": "C12"}}}, []).mistakes
        == ()
    )
    values["sets"]["generated"]["composition"] = "SiC"
    (line,) = read(values, ["mine.yaml"]).mistakes
    assert "sets.generated.composition 'SiC': Si has no cell in the grid of the model, which holds C" in line
