"""The command line: help, bad input, and what a command leaves behind."""

import errno
import importlib
import json
import os
import re
import resource
import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

import unimat.cli
from unimat import __version__, crystal_table
from unimat.cli import COMMANDS, main
from unimat.crystal_table import Crystal, from_crystals
from unimat.materials.datasets.settings import SPLITS

HEAVY = (
    "jax",
    "flax",
    "optax",
    "orbax",
    "torch",
    "pymatgen",
    "pandas",
    "scipy",
    "matplotlib",
    "ase",
    "pyarrow",
    "numpy",
)


def run(*arguments, **environment):
    command = [sys.executable, "-m", "unimat", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)


def failure(capsys, *arguments):
    """The one line on stderr of a command that fails on bad input."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "error:" in line]
    assert len(lines) == 1
    assert "Traceback" not in captured.err
    assert lines[0].startswith(f"unimat {arguments[0]}: error: ")
    return lines[0]


def table_of(*ids):
    return from_crystals(
        Crystal(name, np.eye(3) * 4, np.array([6]), np.zeros((1, 3)), {"energy_per_atom": float(index)})
        for index, name in enumerate(ids)
    )


@pytest.fixture
def crystals(tmp_path):
    path = tmp_path / "crystals.parquet"
    crystal_table.write(table_of("a", "b", "c"), path)
    return path


@pytest.fixture
def cifs(tmp_path):
    structures = [Structure(Lattice.cubic(3 + i / 10), ["Si", "C"], [[0, 0, 0], [0.5] * 3]) for i in range(10)]
    texts = [str(CifWriter(structure)) for structure in structures]
    pd.DataFrame({"material_id": [f"m{i}" for i in range(10)], "cif": texts}).to_csv(tmp_path / "mine.csv", index=False)
    return tmp_path / "mine.csv"


def test_help_answers_without_heavy_imports():
    code = (
        "import sys\nfrom unimat.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for command in COMMANDS:
        assert re.search(rf"\n    {command}\s", done.stdout)
    # CPU time, since a busy machine has none to spare.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1


def test_version():
    done = run("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"unimat {__version__}")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_a_working_example(command, capsys):
    module = importlib.import_module(f"unimat.cli.{command}")
    with pytest.raises(SystemExit) as exit_status:
        main([command, "--help"])
    assert exit_status.value.code == 0
    text = capsys.readouterr().out
    assert module.EXAMPLE in text
    assert module.__doc__.splitlines()[0] in " ".join(text.split())
    assert "--debug" in text
    # The example's flags are the command's, and none that it needs is missing.
    arguments = shlex.split(module.EXAMPLE.replace("\\\n", " "))
    assert arguments[:2] == ["unimat", command]
    unimat.cli._parse(arguments[1:])


@pytest.mark.parametrize("command", ["fetch", "ingest", "convert", "select", "gather"])
def test_importing_a_command_imports_nothing_heavy(command):
    code = f"import sys, unimat.cli.{command}\nprint(sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_commands_and_flags_exit_with_2(capsys):
    for arguments in (["ingset"], ["ingest", "--outt", "x"], ["ingest"], []):
        with pytest.raises(SystemExit) as exit_status:
            main(arguments)
        assert exit_status.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_bad_input_is_one_line_and_debug_shows_where():
    quiet = run("select", "--crystals", "nowhere.parquet", "--out", "x")
    assert (quiet.returncode, quiet.stdout) == (2, "")
    assert quiet.stderr == (
        "unimat select: error: nowhere.parquet does not exist; check the name, or run the stage that makes it\n"
    )
    loud = run("select", "--debug", "--crystals", "nowhere.parquet", "--out", "x")
    assert loud.returncode == 1
    assert "Traceback" in loud.stderr
    assert "UserError: nowhere.parquet does not exist" in loud.stderr


def test_a_missing_package_is_told_with_its_extra(crystals, tmp_path, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "unimat.materials.screening.select", raising=False)
    monkeypatch.setitem(sys.modules, "unimat.materials.crystals.structures", None)
    monkeypatch.setitem(sys.modules, "pymatgen", None)
    monkeypatch.delitem(sys.modules, "unimat.materials.crystals.structures")
    for name in [name for name in sys.modules if name.startswith("pymatgen.")]:
        monkeypatch.delitem(sys.modules, name)
    line = failure(capsys, "select", "--crystals", crystals, "--out", tmp_path / "set")
    assert "package 'pymatgen" in line
    assert "pip install 'unimat[materials]'" in line


def test_truncated_parquet(crystals, tmp_path, capsys):
    crystals.write_bytes(crystals.read_bytes()[:-100])
    line = failure(capsys, "select", "--crystals", crystals, "--out", tmp_path / "set")
    assert "crystals.parquet is not readable as Parquet (truncated?)" in line
    assert not (tmp_path / "set").exists()


def test_unknown_settings_keys_and_broken_settings(tmp_path, capsys):
    out = tmp_path / "dataset"
    line = failure(capsys, "ingest", "--settings", '{"name": "silicon_carbon", "max_atom": 8}', "--out", out)
    assert "dataset: unknown key 'max_atom'; known keys: name, mirror" in line
    line = failure(capsys, "ingest", "--settings", '{"name": ', "--out", out)
    assert line.endswith("dataset, line 1: a '{' is not closed, or a comma is missing; close it")
    assert "no file 'settings.yaml'" in failure(capsys, "ingest", "--settings", "settings.yaml", "--out", out)
    assert "expected int, found 'eight'" in failure(
        capsys, "ingest", "--settings", '{"max_atoms": "eight"}', "--out", out
    )
    assert not out.exists()


def test_wrong_checksum_in_the_mirror(tmp_path, capsys):
    for split in SPLITS:
        (tmp_path / f"{split}.csv").write_text("not the publisher's")
    out = tmp_path / "res"
    line = failure(capsys, "fetch", "--dataset", "carbon_24", "--mirror", tmp_path, "--out", out)
    assert "train.csv is not the publisher's file" in line
    assert "https://raw.githubusercontent.com/txie-93/cdvae" in line
    assert not out.exists()


def test_unknown_dataset(tmp_path, capsys):
    assert "dataset 'oqmd' is not known" in failure(capsys, "fetch", "--dataset", "oqmd", "--out", tmp_path)


def test_a_dataset_with_no_usable_row_leaves_nothing(tmp_path, capsys):
    pd.DataFrame({"material_id": ["x"], "cif": ["no crystal"]}).to_csv(tmp_path / "bad.csv", index=False)
    settings = json.dumps({"name": "custom", "source": str(tmp_path / "bad.csv")})
    line = failure(capsys, "ingest", "--settings", settings, "--out", tmp_path / "dataset")
    assert "none of 1 rows can be used (unreadable 1); look at the first, bad.csv:0" in line
    assert not (tmp_path / "dataset").exists()


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(cifs, tmp_path, capsys, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    settings = json.dumps({"name": "custom", "source": str(cifs)})
    line = failure(capsys, "ingest", "--settings", settings, "--out", tmp_path / "dataset")
    assert "no space left on the disk: make room" in line
    assert {path.name for path in tmp_path.iterdir()} == {cifs.name}


def test_ingest_then_select_then_gather(cifs, tmp_path, capsys):
    settings = json.dumps({"name": "custom", "source": str(cifs), "split": {"fractions": [0.6, 0.2, 0.2]}})
    dataset, chosen = tmp_path / "dataset", tmp_path / "set"
    assert main(["ingest", "--settings", settings, "--out", str(dataset)]) == 0
    expected = {"train.parquet", "val.parquet", "test.parquet", "rejected.parquet", "card.json", "card.html"}
    assert {path.name for path in dataset.iterdir()} == expected
    card = json.loads((dataset / "card.json").read_text())
    assert card["crystals"] == {"train": 6, "val": 2, "test": 2}
    assert main(["select", "--crystals", str(dataset / "train.parquet"), "--take", "4", "--out", str(chosen)]) == 0
    table = crystal_table.read(chosen / "crystals.parquet")
    assert len(table) == 4
    assert crystal_table.read_rejected(chosen / "rejected.parquet") == []
    for index, rows in enumerate(([2, 0], [3, 1])):
        shard = table.take(rows).with_column("converged", [True, False]).with_column("n_steps", [5, 9])
        crystal_table.write(shard.with_column("failure", [None, None]), tmp_path / f"{index}.parquet")
    joined = ["--out-file", str(chosen / "relaxed.parquet"), "--summary", str(chosen / "relaxed.json")]
    shards = [str(tmp_path / "0.parquet"), str(tmp_path / "1.parquet")]
    assert main(["gather", "--shards", *shards, "--like", str(chosen / "crystals.parquet"), *joined]) == 0
    assert crystal_table.read(chosen / "relaxed.parquet").material_ids == table.material_ids
    summary = json.loads((chosen / "relaxed.json").read_text())
    assert (summary["set"], summary["converged"]) == ("set", {"count": 2, "of": 4, "rate": 0.5})
    line = failure(capsys, "gather", "--shards", shards[0], "--like", chosen / "crystals.parquet", *joined)
    assert "2 crystals" in line
    assert "in no shard" in line


def test_select_by_rank_and_its_flags(crystals, tmp_path, capsys):
    out = tmp_path / "set"
    flags = ["select", "--crystals", crystals, "--out", out]
    assert main([*map(str, flags), "--lowest-per-composition", "2", "--rank-by", "energy_per_atom"]) == 0
    assert crystal_table.read(out / "crystals.parquet").material_ids == ["a", "b"]
    assert crystal_table.read(out / "crystals.parquet").metadata["n_requested"] == 2
    assert "go together" in failure(capsys, *flags, "--rank-by", "energy_per_atom")
    assert "--take 0: give a number of at least 1" in failure(capsys, *flags, "--take", "0")


def test_convert_in_and_out(cifs, tmp_path):
    frame = pd.read_csv(cifs)
    pd.concat([frame, pd.DataFrame({"material_id": ["bad"], "cif": ["?"]})]).to_csv(cifs, index=False)
    table, folder = tmp_path / "set" / "crystals.parquet", tmp_path / "cifs"
    assert main(["convert", str(cifs), str(table), "--rejected", str(tmp_path / "why.parquet")]) == 0
    assert [row.material_id for row in crystal_table.read_rejected(tmp_path / "why.parquet")] == ["bad"]
    assert crystal_table.read(table).metadata["n_requested"] == 11
    assert main(["convert", str(table), str(folder)]) == 0
    assert len(list(folder.glob("*.cif"))) == 10
    assert main(["convert", str(folder), str(table)]) == 0
    assert crystal_table.read(table).material_ids == sorted(frame["material_id"])
    assert crystal_table.read_rejected(table.parent / "rejected.parquet") == []


def test_convert_to_an_unknown_form(crystals, tmp_path, capsys):
    assert "write as what?" in failure(capsys, "convert", crystals, tmp_path / "t.res")


def test_fetch_of_the_embedded_dataset(tmp_path):
    assert main(["fetch", "--dataset", "silicon_carbon", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "manifest.json").read_text())["embedded"] is True
