"""`unimat doctor --config` and a dry run say the same of a configuration, and ask for the same of a scheduler."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.conftest import Run
from unimat.cli import main
from unimat.configuration.plan import Plan
from unimat.configuration.reading import read_files
from unimat.configuration.resources import asked_for

SECONDS = 2.0  # of CPU, in which the doctor is to say what is wrong; a dry run takes some 1.3


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Lines of the doctor, up to those of the machine."""
    with pytest.raises(SystemExit):
        main(["doctor", *arguments])
    return capsys.readouterr().out.splitlines()


def test_both_tell_all_mistakes_in_the_same_lines(run: Run, capsys, monkeypatch):
    config = run.write_config(
        train={"lerning_rate": 1e-3, "batch_size": 10**6},
        dataset={"name": "custom", "source": "no.csv"},
        sets={"generated": {"from": "sample", "composition": "GaN"}, "b": {"from": "file", "path": "a\nb"}},
    )
    config.write_text(config.read_text(encoding="utf-8") + "seed: 1\n", encoding="utf-8")
    monkeypatch.chdir(run.folder)
    monkeypatch.setenv("UNIMAT_ELSEWHERE", "1")  # as for the dry run
    lines = doctor(capsys, "--config", "config/config.yaml")
    assert len(lines) == 6
    assert all(line.startswith("problem  config/config.yaml") for line in lines)
    dry = run.snakemake("--dry-run")
    assert dry.returncode == 1
    assert dry.stdout.splitlines() == [line.removeprefix("problem  ") for line in lines]
    assert not (run.folder / "results").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"run: mine\ndataset:\n\tname: mp_20\n", "line 3: a tab, where YAML takes spaces alone; replace it by spaces"),
        (b"run: mine\ndataset: {name: mp_20\n", "line 2: a '{' is not closed, or a comma is missing, as line 3 shows"),
        ("run: mine\nreport: {title: café}\n".encode("latin-1"), "line 2: byte 0xe9 ('é' in latin-1) is not UTF-8"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(run: Run, capsys, monkeypatch, text: bytes, said: str):
    """Of config/config.yaml by the workflow, too; a file that is named Snakemake itself reads before it."""
    path = run.write_config()
    path.write_bytes(text)
    monkeypatch.chdir(run.folder)
    (line,) = doctor(capsys, "--config", "config/config.yaml")
    assert line.startswith(f"problem  config/config.yaml, {said}")
    done = run.snakemake("--dry-run")
    assert done.stdout.splitlines() == [line.removeprefix("problem  ")]


@pytest.mark.parametrize("name", ["../out", "a b", "$(touch pwned)", "x;touch pwned", "`id`", "a\nb", "*", "'"])
def test_a_hostile_name_of_a_run_is_refused_by_name(name: str):
    from unimat.configuration.reading import read

    (line,) = read({"run": name, "dataset": {"name": "silicon_carbon"}}, ["mine.yaml"]).mistakes
    assert line.startswith(f"mine.yaml: run is {name!r}; it must match ^[A-Za-z0-9]")


def test_the_doctor_says_so_within_two_seconds_and_without_heavy_packages(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("run: mine\ndataset: {name: mp_20}\nrelax: {fmx: 1}\n", encoding="utf-8")
    code = (
        "import sys, time; from unimat.cli import main\n"
        "try: main(['doctor', '--config', 'mine.yaml'])\n"
        "except SystemExit: pass\n"
        "print(time.process_time(), *sorted({'jax', 'torch', 'pymatgen', 'pandas', 'scipy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    line, last = done.stdout.splitlines()
    assert line == "problem  mine.yaml: unknown key 'relax.fmx'; did you mean 'fmax'?"
    seconds, *heavy = last.split()
    assert heavy == []
    assert float(seconds) < SECONDS


def planned(done: str) -> dict[str, int]:
    table = done.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def asked_of(done: str) -> dict[str, tuple[int, int, int]]:
    """By rule, the most that a dry run shows of threads, memory (MB) and run time (minutes)."""
    found: dict[str, tuple[int, int, int]] = {}
    for block in re.split(r"\n\n+|\[[A-Z][^\]]*\]\n", done):
        rule, resources = re.search(r"^rule (\w+):", block, re.MULTILINE), re.search(r"resources: (.*)", block)
        if not rule or not resources or "runtime" not in resources[1]:
            continue
        values = dict(re.findall(r"(mem_mb|runtime)=(\d+)", resources[1]))
        threads = re.search(r"threads: (\d+)", block)
        now = (int(threads[1]) if threads else 1, int(values["mem_mb"]), int(values["runtime"]))
        found[rule[1]] = max(now, found.get(rule[1], now))
    return found


SCREENED: dict[str, Any] = {
    "sets": {
        "generated": {"from": "sample"},
        "reference": {"from": "split", "split": "train"},
        "best": {"from": "screen", "of": "generated", "take": 50},
    },
    "relax": {
        "sets": ["generated", "reference", "best"],
        "threads": 3,
        "by_set": {"best": {"engine": "vasp", "threads": 64, "vasp": {"command": "srun -n 64 vasp_std"}}},
    },
    "hull": {"sets": ["generated", "best"], "by_set": {"best": {"reference": {"kind": "set", "set": "best"}}}},
    "md": {"sets": ["generated"], "threads": 5},
    "compare": None,
}
SUBSTITUTED: dict[str, Any] = {
    "sets": {
        "test": {"from": "split", "split": "test", "take": 9},
        "reference": {"from": "split", "split": "train"},
        "candidates": {"from": "substitution", "templates": ["reference", "aflow"], "compositions_of": "test"},
        "asked": {"from": "substitution", "templates": "train", "compositions": ["SiC"]},
        "new": {"from": "substitution", "templates": ["train", "aflow"], "known": ["val", "reference"], "n": 5},
    },
    "match": {"sets": ["candidates"]},
    "metrics": {"sets": ["asked", "new"]},
    "relax": {"sets": ["candidates", "reference"]},
    "hull": {"sets": ["candidates"]},
    "compare": None,
}
CONFIGS = [
    ("config.yaml", {}, []),
    ("config.yaml", {}, ["relax", "encode"]),
    ("config.yaml", SCREENED, []),
    ("config.yaml", SUBSTITUTED, []),
    ("config.yaml", SUBSTITUTED, ["match"]),
    ("config.yaml", {"train": {"initial": "perov_5"}, "model": None}, ["metrics"]),
    ("airss.yaml", {}, []),
    ("search.yaml", {}, []),
    ("predict.yaml", {}, []),
    ("gpaw.yaml", {}, []),
    ("mp_20.yaml", {}, []),
    ("reproduction/perov_5.yaml", {}, ["reproduction"]),
]


@pytest.mark.parametrize(("name", "changes", "targets"), CONFIGS, ids=range(len(CONFIGS)))
def test_jobs_and_resources_are_those_that_snakemake_plans(run: Run, name: str, changes: Any, targets: list[str]):
    config = run.write_config(name, **changes)
    configuration = read_files(config).configuration
    done = run.snakemake(
        *targets, "--dry-run", "--configfile", str(config), "--cores", "64", "--set-scatter", "relax=3"
    )
    assert done.returncode == 0, done.stdout
    assert Plan(configuration, targets, shards=3).counts == planned(done.stdout)
    asked = asked_for(configuration, targets, 3)
    shown = {rule: (each.threads, each.memory(1), each.runtime(1)) for rule, each in asked.items()}
    assert shown == asked_of(done.stdout)
