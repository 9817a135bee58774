"""A configuration that is wrong stops before any job with one line that says what, where and how to mend it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.conftest import ROOT, Run
from unimat.configuration.reading import read


def read_configuration(values: dict[str, Any]) -> dict[str, Any]:
    """Settings of a configuration that is sound."""
    reading = read(values, ["config/mine.yaml"])
    assert reading.mistakes == ()
    return dict(reading.configuration.settings)


def complaint(values: dict[str, Any]) -> str:
    """The first of what is said about a configuration."""
    return read(values, ["config/mine.yaml"]).mistakes[0]


def demo(**changes: Any) -> dict[str, Any]:
    values = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        section = values
        for parent in parents:
            section = section[parent]
        section[last] = value
    return values


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metricz": {}}, "unknown key 'metricz'; did you mean 'metrics'?"),
        ({"train__lerning_rate": 1e-3}, "unknown key 'train.lerning_rate'; did you mean 'learning_rate'?"),
        ({"sets__test__tkae": 3}, "unknown key 'sets.test.tkae'; did you mean 'take'?"),
        ({"relax__fmax": -0.1}, "relax.fmax is -0.1 eV/Å; it must be greater than 0 eV/Å"),
        ({"train__steps": "many"}, "train.steps is 'many'; it must be of type integer"),
        ({"model__dropout": 1.5}, "model.dropout is 1.5; it must be at most 0.95"),
        ({"encode__columns": [18]}, "encode.columns.0 is 18; it must be at most 17"),
        ({"relax__engine": "chgnett"}, "relax.engine is 'chgnett'; did you mean 'chgnet'? (one of chgnet, "),
        ({"run": "my run"}, "run is 'my run'; it must match ^[A-Za-z0-9]"),
        ({"sets__Test": {"from": "sample"}}, "'Test'; it must match ^[a-z]"),
        ({"sets__test__from": "spilt"}, "sets.test.from is 'spilt'; did you mean 'split'?"),
        ({"sets__test": {"split": "test"}}, "sets.test: 'from' is a required property"),
        ({"sets__mine": {"from": "file"}}, "sets.mine: 'path' is a required property"),
        ({"sets__reference__rank_by": None}, "sets.reference.rank_by is None; it must be of type string"),
        ({"sets__search": {"from": "airss"}}, "sets.search: give `elements` to combine"),
        ({"dataset__name": "silicon_carbide"}, "dataset.name names 'silicon_carbide'"),
        ({"dataset__name": "custom"}, "dataset: dataset 'custom' needs source"),
        ({"metrics__sets": ["generatd"]}, "metrics.sets names 'generatd', which is not among sets; did you mean"),
        ({"hull__sets": ["tset"]}, "hull.sets names 'tset', which is not among relax.sets; did you mean 'test'?"),
        ({"hull__reference": {"set": "refs"}}, "hull.reference.set names 'refs', which is not among relax.sets"),
        (
            {"hull__references": {"again": {"set": "refs"}}},
            "hull.references.again.set names 'refs', which is not among relax.sets",
        ),
        ({"hull__references": {"a b": {}}}, "'a b'; it must match ^[A-Za-z0-9]"),
        ({"hull__references": {"mp": {"kidn": "set"}}}, "unknown key 'hull.references.mp.kidn'; did you mean 'kind'?"),
        (
            {"compare__pairs": [["generated", "reference"]]},
            "compare.pairs names 'reference', which is not among hull.sets",
        ),
        ({"report__set": "tst"}, "report.set names 'tst'"),
        ({"train__warmup_steps": 10**6}, "train: warmup_steps must lie in [0, "),
        ({"model__fourier_features": 4}, "model: fourier_features are for coordinate_form raw"),
        (
            {"sets__mine": {"from": "file", "path": "my.cif"}},
            "sets.mine.path names 'my.cif', and there is no such file",
        ),
        ({"hull__known": ["old.parquet"]}, "hull.known[0] names 'old.parquet', and there is no such file or folder"),
        ({"sets": "config/no.tsv"}, "sets: no sheet 'config/no.tsv'; give a tab-separated file"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mistake_is_named_in_one_line(changes: dict[str, Any], said: str):
    words = complaint(demo(**changes))
    assert words.startswith("config/mine.yaml: ")
    assert said in words
    assert "\n" not in words


def test_a_missing_name_of_the_run_is_named():
    values = demo()
    del values["run"]
    assert "'run' is a required property" in complaint(values)


@pytest.mark.parametrize(
    ("sheet", "said"),
    [
        ("set\tsource\na\tsample\n", "needs a header line with the columns set and from"),
        ("set\tfrom\na\tsample\na\tsample\n", "names 'a' twice"),
        ("set\tfrom\ttake\na\tsplit\tmany\n", "sets.a: 'split' is a required property"),
        ("set\tfrom\tsplit\ttake\na\tsplit\ttest\tmany\n", "sets.a.take is 'many'"),
    ],
)
def test_a_mistake_in_a_sheet_is_named(tmp_path: Path, sheet: str, said: str):
    path = tmp_path / "sets.tsv"
    path.write_text(sheet, encoding="utf-8")
    assert said in complaint(demo(sets=str(path)))


def test_the_message_is_all_that_the_user_sees_and_no_job_starts(run: Run):
    run.write_config(train={"lerning_rate": 1e-3})
    done = run.snakemake("--cores", "1")
    assert done.returncode == 1
    message = "config/config.yaml: unknown key 'train.lerning_rate'; did you mean 'learning_rate'?"
    assert done.stdout.splitlines() == [message]
    assert run.calls() == []
    assert not (run.folder / "results").exists()


def test_numbers_that_yaml_takes_for_text_and_empty_sections_are_understood(run: Run):
    config = run.write_config(train={"learning_rate": "1e-3"})
    text = config.read_text(encoding="utf-8")
    assert "learning_rate: 1e-3\n" in text  # YAML 1.1 reads it as text
    config.write_text(text + "\nairss:\n", encoding="utf-8")
    done = run.snakemake("--dry-run", "--printshellcmds", "train")
    assert done.returncode == 0, done.stdout
    assert '"learning_rate": 0.001' in done.stdout
