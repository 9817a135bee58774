"""What a user writes into a configuration reaches the shell as words, never as commands."""

import io
import json
import re
import shlex
import string
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, Run
from tests.workflow.test_plan import planned_commands

FILES = [*sorted((ROOT / "workflow").rglob("*.smk")), ROOT / "workflow/Snakefile"]
# A number, and two that are commands on purpose: what a profile puts in front of `unimat`, or behind it.
COMMANDS = {"threads", "resources.launcher", "resources.flags"}
# One name that a shell would take apart, run, or expand.
HOSTILE = """it's "a" $(touch pwned) `touch pwned`; touch pwned & * ? [a-z] $HOME | x"""


def csv_cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def shell_texts(path: Path) -> Iterator[str]:
    """Every text behind `shell:` of a file of rules; its grammar differs from Python's, its tokens do not."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    ignored = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT)
    words = [token for token in tokens if token.type not in ignored]
    for index, word in enumerate(words):
        if word.string == "shell":
            assert words[index + 1].string == ":", f"{path.name}: shell is called as a function"
            texts = []
            for after in words[index + 2 :]:
                if after.type != tokenize.STRING:
                    break
                assert not after.string.lower().startswith(("f", "rf", "fr")), f"{path.name}: an f-string in shell:"
                texts.append(eval(after.string))
            assert texts, f"{path.name}: shell: without a text"
            yield "".join(texts)


def unquoted(text: str) -> list[str]:
    """Placeholders of a shell text that Snakemake fills in as they are."""
    parts = string.Formatter().parse(text)
    return [name for _, name, spec, _ in parts if name is not None and not str(spec).endswith("q")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_placeholder_that_can_hold_a_users_text_is_quoted(path: Path):
    found = {name for text in shell_texts(path) for name in unquoted(text)}
    assert found - COMMANDS == set()


def test_the_search_for_placeholders_sees_those_of_all_rules():
    texts = [text for path in FILES for text in shell_texts(path)]
    names = sum(len(list(string.Formatter().parse(text))) for text in texts)
    of_rules = re.findall(r"^ {4}shell:", "".join(path.read_text(encoding="utf-8") for path in FILES), re.MULTILINE)
    assert len(texts) == len(of_rules) >= 25
    assert names > 150
    assert unquoted("x {input.a} {input.b:q} {params[c]} {threads} {{d}}") == ["input.a", "params[c]", "threads"]


def test_hostile_names_of_files_and_folders_are_words_of_the_commands(run: Run):
    (run.folder / HOSTILE).mkdir()
    contents = {
        "data.csv": "material_id,cif\n1,\n2,\n",
        "table.csv": f"material_id,{csv_cell(HOSTILE)}\n1,0\n",
        "formulas.csv": "formula,count\nSiC,1\n",
        **dict.fromkeys(("known.parquet", "set.cif", "phases.json"), "[]\n"),
    }
    for name, text in contents.items():
        (run.folder / HOSTILE / name).write_text(text, encoding="utf-8")
    run.write_config(
        dataset={
            "name": "custom",
            "source": f"{HOSTILE}/data.csv",
            "table": f"{HOSTILE}/table.csv",
            "properties": {HOSTILE: {"unit": HOSTILE}},
        },
        train={"batch_size": 1},
        model={"conditions": ["composition"]},
        sets={
            "generated": {"from": "sample", "compositions": f"{HOSTILE}/formulas.csv"},
            "test": {"from": "file", "path": f"{HOSTILE}/set.cif"},
            "reference": {"from": "split", "split": "train", "rank_by": HOSTILE, "lowest_per_composition": 1},
        },
        metrics={"cache": f"{HOSTILE}/metrics"},
        relax={"cache": f"{HOSTILE}/relaxed"},
        hull={
            "known": [f"{HOSTILE}/known.parquet"],
            "references": {"mine": {"kind": "entries", "path": f"{HOSTILE}/phases.json", "licence": HOSTILE}},
        },
        report={"title": HOSTILE},
    )
    done = run.snakemake("--cores", "2")
    assert done.returncode == 0, done.stdout
    assert not list(run.folder.rglob("pwned"))
    calls = run.words()
    values = {flag: {words[index + 1] for words in calls for index, word in enumerate(words) if word == flag}
              for flag in ("--cache", "--known", "--rank-by")}  # fmt: skip
    assert values["--cache"] == {f"{HOSTILE}/metrics", f"{HOSTILE}/relaxed", "results/demo/work/hull"}
    assert values["--known"] == {"results/demo/dataset/train.parquet", f"{HOSTILE}/known.parquet"}
    assert values["--rank-by"] == {HOSTILE}
    (converted,) = [words for words in calls if words[0] == "convert"]
    assert converted[1] == f"{HOSTILE}/set.cif"
    (ingested,) = [words for words in calls if words[0] == "ingest"]
    assert json.loads(ingested[2])["source"] == f"{HOSTILE}/data.csv"
    reported = json.loads((run.folder / "results/demo/config.json").read_text(encoding="utf-8"))
    assert reported["report"]["title"] == HOSTILE


def test_a_hostile_command_line_is_shown_as_it_was_given(run: Run):
    config = run.write_config()
    hostile = config.with_name("a b;$(touch pwned).yaml")
    config.rename(hostile)
    done = run.snakemake("report", "--dry-run", "--printshellcmds", "--configfile", str(hostile))
    assert done.returncode == 0, done.stdout
    (report,) = [words for words in planned_commands(done.stdout) if words[0] == "report"]
    command = json.loads(report[report.index("--settings") + 1])["command"]
    assert shlex.split(command)[-2:] == ["--configfile", "config/a b;$(touch pwned).yaml"]


def test_a_mirror_and_files_of_ones_own_reach_fetch_as_they_are_written(run: Run):
    (run.folder / HOSTILE).mkdir()
    (run.folder / HOSTILE / "train.csv").write_text("material_id,cif\n", encoding="utf-8")
    run.write_config("perov_5.yaml", dataset={"mirror": HOSTILE, "files": {"train": f"{HOSTILE}/train.csv"}})
    done = run.snakemake("dataset", "--dry-run", "--printshellcmds")
    assert done.returncode == 0, done.stdout
    fetch = next(words for words in planned_commands(done.stdout) if words[0] == "fetch")
    assert f"--mirror={HOSTILE}" in fetch
    assert fetch[fetch.index("--file") + 1] == f"train={HOSTILE}/train.csv"
