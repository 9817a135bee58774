"""The stage of molecular dynamics: planned where a section asks for it, and nowhere else."""

import json
from typing import Any

import pytest

from tests.workflow.conftest import Run
from tests.workflow.test_by_set import commands
from tests.workflow.test_configuration import complaint, demo


def test_the_best_of_a_judged_set_are_moved(run: Run):
    """With the section's settings, the run's seed, and a working folder that all sets share."""
    assert "md_set" not in run.plan("--configfile", str(run.write_config()))
    run.write_config(
        seed=7, md={"sets": ["generated"], "take": 2, "temperature": 500, "vasp": {"command": "srun vasp"}}
    )
    [planned] = commands(run)["md"].values()
    folder = "results/demo/sets/generated"
    assert {name: str(planned[name]) for name in ("crystals", "stability", "summary", "work")} == {
        "crystals": f"{folder}/relaxed.parquet",
        "stability": f"{folder}/stability.parquet",
        "summary": f"{folder}/dynamics.json",
        "work": "results/demo/work/md",
    }
    assert json.loads(planned["settings"]) == {
        "seed": 7, "take": 2, "temperature": 500, "vasp": {"command": "srun vasp"},
    }  # fmt: skip


def test_a_new_section_computes_nothing_else_anew(finished: Run):
    finished.write_config(md={"sets": ["generated"]})
    plan = finished.plan()
    assert plan.pop("md_set") == 1
    assert plan.keys() <= {"all", "configuration", "report"}
    done = finished.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    assert [line.split()[0] for line in finished.calls()].count("md") == 1


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"sets": ["generatd"]}, "md.sets names 'generatd', which is not among hull.sets; did you mean 'generated'?"),
        ({"engine": "gpaw"}, "md: engine 'gpaw' runs no molecular dynamics; those that do: chgnet, "),
        ({"time_step": 50}, "md.time_step is 50 fs; it must be at most 20 fs"),
        ({"take": 0}, "md.take is 0 crystals; it must be at least 1 crystals"),
        ({"vasp": {"comand": "x"}}, "unknown key 'md.vasp.comand'; did you mean 'command'?"),
    ],
)
def test_a_mistake_is_told_in_one_line(section: dict[str, Any], said: str):
    values = demo()
    values["md"] = section
    assert said in complaint(values)
