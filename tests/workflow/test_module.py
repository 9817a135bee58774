"""The workflow as a module of another one, as the Snakemake workflow catalog deploys it."""

import re
import shutil
import subprocess

import pytest

from tests.workflow.conftest import ROOT, Run

# What config/README.md tells users to write.
PAGE = (ROOT / "config/README.md").read_text(encoding="utf-8")
USER = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]


def write_user(run: Run, snakefile: str | None = None, more: str = "", names: str = "") -> str:
    """Path of a workflow that takes ours in as a module, from its own place unless another one is given."""
    path = run.folder / "workflow/Snakefile"
    path.parent.mkdir(exist_ok=True)
    text = USER.replace('"path/to/unimat/workflow/Snakefile"', snakefile or repr(str(ROOT / "workflow/Snakefile")))
    assert text != USER
    text = text.replace("    config: config\n", f"    config: config\n{more}")
    path.write_text(text.replace("from unimat", f"from unimat{names}"), encoding="utf-8")
    return str(path)


def plan_as_module(run: Run, **written: str) -> dict[str, int]:
    return run.plan("--snakefile", write_user(run, **written))


@pytest.mark.parametrize("names", ["", " as crystals_*"])
def test_the_same_jobs_are_planned_as_by_the_workflow_itself(run: Run, names: str):
    run.write_config()
    expected = {names[4:].replace("*", job): count for job, count in run.plan().items()} if names else run.plan()
    assert len(expected) > 10
    assert plan_as_module(run, names=names) == expected


def test_sets_of_files_and_of_compositions_are_found_where_the_other_workflow_is_called(run: Run):
    run.write_config("airss.yaml")
    expected = run.plan()
    assert {"airss_set", "sample_set"} <= expected.keys()
    assert plan_as_module(run) == expected
    run.write_config("gpaw.yaml")
    assert plan_as_module(run) == run.plan()


def test_it_is_taken_from_a_repository_elsewhere(run: Run):
    """No file lies beside the Snakefile then; each comes through Snakemake's cache of sources."""
    repository = run.folder / "repository"
    shutil.copytree(ROOT / "workflow", repository / "workflow")
    shutil.copy(ROOT / "environment.yml", repository)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*identity, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    run.write_config()
    snakefile = f'gitfile("{repository}", path="workflow/Snakefile", ref="main")'
    assert plan_as_module(run, snakefile=snakefile) == run.plan()


def test_a_mistake_is_one_line_that_names_the_callers_file(run: Run):
    run.write_config(train={"steps": -1})
    done = run.snakemake("--dry-run", "--snakefile", write_user(run))
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("config/config.yaml: train.steps is -1 steps; it must be at least 1")


@pytest.mark.parametrize("given", ['prefix: "mine"', 'replace_prefix: {"results/": "mine/"}'])
def test_prefixes_are_refused(run: Run, given: str):
    run.write_config()
    done = run.snakemake("--dry-run", "--snakefile", write_user(run, more=f"    {given}\n"))
    assert done.returncode == 1
    assert "prefix and replace_prefix of a module move some paths only" in done.stdout.splitlines()[-1]
