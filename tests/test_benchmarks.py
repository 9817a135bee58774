"""The benchmarks end with the line of JSON that `make bench` reads, and their own sums are right."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest

FOLDER = Path(__file__).parent / "benchmarks"
NUMBER = {"type": ["number", "null"]}
FIGURE = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "value": {"type": "number"},
        "unit": {"type": "string"},
        "target": NUMBER,
        "met": {"type": ["boolean", "null"]},
        "baseline": NUMBER,
    },
    "required": ["name", "value", "unit", "target", "met", "baseline"],
    "additionalProperties": False,
}
LINE = {
    "type": "object",
    "properties": {
        "benchmark": {"type": "string"},
        "figures": {"type": "array", "items": FIGURE, "minItems": 1},
        # Of the benchmarks of faults, for a page of their own.
        "seed": {"type": "integer"},
        "kinds": {"type": "array", "items": {"type": "object"}},
        "faults": {"type": "array", "items": {"type": "object"}},
        "machine": {"type": "object", "required": ["cores", "memory_gib", "cpu", "load", "python", "packages"]},
    },
    "required": ["benchmark", "figures", "machine"],
    "additionalProperties": False,
}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the benchmarks on the path, as it is for a script in it."""
    monkeypatch.syspath_prepend(str(FOLDER))


def imported(name: str) -> ModuleType:
    __import__(name)
    return sys.modules[name]


def line_of(name: str, *options: str) -> dict[str, Any]:
    """The JSON that a benchmark ends with, checked against the schema; nothing else is on its stdout."""
    done = subprocess.run(
        [sys.executable, FOLDER / f"{name}.py", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (text,) = done.stdout.splitlines()
    line = json.loads(text)
    jsonschema.validate(line, LINE)
    assert line["benchmark"] == name
    return line


def test_encode_roundtrip_runs_and_moves_no_atom():
    figures = {
        figure["name"]: figure for figure in line_of("encode_roundtrip", "--n", "50", "--repeats", "1")["figures"]
    }
    assert figures["largest displacement of an atom"]["met"]
    assert figures["encoded"]["baseline"] > 0


def test_substitution_runs_at_three_sizes():
    options = ["--sizes", "200", "400", "800", "--read", "500", "--n", "5", "--n-index", "20"]
    figures = {figure["name"]: figure for figure in line_of("substitution", *options)["figures"]}
    assert {"index 20 crystals", "800 templates, 20 candidates each", "read 500 templates"} <= figures.keys()
    assert figures["read 500 templates"]["met"]
    assert all(figure["value"] > 0 for figure in figures.values())


def test_hull_runs_and_agrees_with_phase_diagrams_and_with_linear_programs():
    options = ["--phases", "20", "--candidates", "30", "--alternative", "15", "--repeats", "1", "--left-out", "20"]
    options += ["--small", "300", "--large", "1000"]
    figures = {figure["name"]: figure for figure in line_of("hull", *options)["figures"]}
    assert figures["disagreement with PhaseDiagram"]["value"] < 1e-9
    assert figures["disagreement with linprog"]["value"] < 1e-9


def test_hull_reference_runs_and_agrees_with_phase_diagrams():
    options = ["--no-published", "--small", "500", "--large", "1000", "--candidates", "20", "--alternative", "5"]
    figures = {figure["name"]: figure for figure in line_of("hull_reference", *options, "--repeats", "1")["figures"]}
    assert figures["disagreement with PhaseDiagram"]["value"] < 1e-9


def test_an_interval_of_a_distance_holds_the_true_one():
    """Nominal where the distributions are equal: of 60 samples, 51 or fewer would be a chance of 1 in 200."""
    figures = {figure["name"]: figure for figure in line_of("intervals", "--quick")["figures"]}
    for case in ("equal", "shifted by 0.2"):
        assert figures[f"coverage, {case}"]["value"] > 100 * 51 / 60
    assert figures["coverage, equal"]["baseline"] < 10  # what percentiles of resampled distances hold


def test_ingestion_at_scale_runs_and_takes_every_crystal():
    line = line_of("ingest_scale", "--small", "30", "--large", "60")
    figures = {figure["name"]: figure for figure in line["figures"]}
    assert figures["throughput at 60"]["value"] > 0


@pytest.mark.published
def test_ingestion_gives_pymatgens_cells(published_data: Path):
    figures = {figure["name"]: figure for figure in line_of("ingest", "--n", "60")["figures"]}
    assert figures["largest difference of a lattice parameter"]["met"]
    assert figures["rows with the same species"]["met"]
    assert figures["rows that are the same crystal"]["met"]


@pytest.mark.published
def test_cif_texts_are_read_as_pymatgen_reads_them(published_data: Path):
    figures = line_of("cif_reading", "--n", "6")["figures"]
    assert len(figures) == 22
    assert all(figure["met"] for figure in figures)


def test_loader_runs_and_knows_the_dense_size():
    options = ["--made-up", "--n", "200", "--steps", "5", "--repeats", "1", "--step-repeats", "0"]
    figures = {figure["name"]: figure for figure in line_of("loader", *options)["figures"]}
    assert figures["size on disk (baseline: dense float32)"]["baseline"] == 38880  # 20 x 9 x 18 x 3 of 4 bytes


@pytest.mark.published
def test_fingerprints_are_matminers(published_data: Path):
    figures = {figure["name"]: figure for figure in line_of("fingerprints", "--n", "4")["figures"]}
    assert figures["largest difference, real"]["met"]
    assert figures["largest difference, generated"]["met"]


@pytest.mark.published
def test_composition_rule_is_smacts_and_faster(published_data: Path):
    figures = {figure["name"]: figure for figure in line_of("evaluation", "--cases", "composition")["figures"]}
    assert figures["verdicts that differ"]["met"]
    assert figures["composition rule against smact's loop"]["met"]
    assert figures["8 elements"]["met"]


@pytest.mark.published
def test_matching_gives_the_plain_verdicts(published_data: Path):
    options = ["--n", "40", "--n-carbon", "12", "--n-whole", "60", "--n-whole-carbon", "20", "--n-known", "900"]
    figures = {figure["name"]: figure for figure in line_of("matching", *options, "--processes", "1")["figures"]}
    assert figures["other verdicts, uniqueness of 40"]["met"]
    assert figures["other verdicts, novelty of 40"]["met"]
    assert figures["other verdicts, 12 of Carbon-24"]["met"]


@pytest.mark.parametrize("name", ["network", "sampling", "sharding", "stages", "workflow_overhead", "run_all"])
def test_the_others_say_what_they_take(name: str):
    done = subprocess.run([sys.executable, FOLDER / f"{name}.py", "--help"], capture_output=True, text=True, check=True)
    assert "options:" in done.stdout


@pytest.mark.usefixtures("scripts")
def test_a_target_is_met_from_the_better_side():
    figure = imported("harness").Figure
    assert figure("a", 1.0, "s", target=2.0).met
    assert not figure("a", 3.0, "s", target=2.0).met
    assert figure("a", 3.0, "1/s", target=2.0, better="higher").met
    assert figure("a", 3.0, "s").met is None
    assert figure("a", 0.123456, "s", baseline=12345.6).as_json() == {
        "name": "a", "value": 0.1235, "unit": "s", "target": None, "met": None, "baseline": 12350.0,
    }  # fmt: skip


@pytest.mark.usefixtures("scripts")
def test_the_machine_is_described_without_its_name():
    text = json.dumps(imported("harness").machine())
    assert imported("platform").node() not in text


def finished(folder: Path) -> Path:
    """A run in which training took from 100 to 160 s and two relaxations, side by side, from 162 to 200 s."""
    jobs = [
        ("train", "train/demo.tsv", "60.0", "500.5", "results/demo/model/model.npz", 100, 160),
        (
            "relax_shard",
            "relax/demo/generated/1-of-2.tsv",
            "30.0",
            "700",
            "results/demo/sets/g/1.parquet",
            162,
            192,
        ),
        (
            "relax_shard",
            "relax/demo/generated/2-of-2.tsv",
            "38.0",
            "-",
            "results/demo/sets/g/2.parquet",
            162,
            200,
        ),
        ("train", "train/demo_2.tsv", "5.0", "1", "results/demo_2/model/model.npz", 500, 505),
    ]
    for rule, table, seconds, memory, output, start, end in jobs:
        path = folder / "benchmarks" / table
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:01:00\t{memory}\n", encoding="utf-8")
        record = {"rule": rule, "shellcmd": f"unimat --out {output}", "starttime": start, "endtime": end}
        metadata = folder / ".snakemake/metadata" / base64.urlsafe_b64encode(output.encode()).decode()
        metadata.parent.mkdir(parents=True, exist_ok=True)
        metadata.write_text(json.dumps(record), encoding="utf-8")
    return folder


@pytest.mark.usefixtures("scripts")
def test_stages_of_a_finished_run_are_added_up(tmp_path: Path):
    figures = {figure.name: figure for figure in imported("stages").figures_of(finished(tmp_path), "demo", None)}
    assert figures["demo: total"].value == 100  # from the first start to the last end
    assert figures["demo: total"].baseline == 98  # two seconds in which no command was at work
    assert figures["demo: total"].met
    assert figures["demo: the workflow's own share"].value == 2
    assert figures["demo: train"].value == 60
    assert figures["demo: relax (2 jobs)"].value == 68
    assert figures["demo: relax, peak memory"].value == 700
    assert not any(name.startswith("demo_2") for name in figures)


@pytest.mark.usefixtures("scripts")
def test_a_run_of_several_sittings_has_no_total(tmp_path: Path):
    folder = finished(tmp_path)
    for path in (folder / ".snakemake/metadata").iterdir():
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["rule"] == "relax_shard":
            later = {key: record[key] + 3600 for key in ("starttime", "endtime")}
            path.write_text(json.dumps(record | later), encoding="utf-8")
    assert "demo: total" not in {figure.name for figure in imported("stages").figures_of(folder, "demo", None)}


@pytest.mark.usefixtures("scripts")
def test_all_scripts_are_benchmarks_or_known_not_to_be():
    assert imported("run_all").names() == [
        "airss",
        "checksums",
        "cif_reading",
        "corrections",
        "corruption",
        "dft",
        "encode_roundtrip",
        "evaluation",
        "fingerprints",
        "finished",
        "forcefield",
        "hull",
        "hull_published",
        "hull_reference",
        "ingest",
        "ingest_scale",
        "interruptions",
        "intervals",
        "job_stores",
        "loader",
        "matching",
        "network",
        "polymorph_ranking",
        "rediscovery",
        "report",
        "sampling",
        "sharding",
        "stages",
        "structure_prediction",
        "substitution",
        "tpu_compile",
        "workflow_overhead",
    ]
