"""Whatever lies where a command is told to write: nothing of it is lost, and the refusal is one line.

Every flag of every command that names an output is tried, as the parsers declare them, in every form of writing.
"""

import errno
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.model.model_helpers import random_table, write_tiny_dataset
from tests.report.report_run import write_run
from unimat import cli, crystal_table
from unimat.cli._outputs import OutFile, OutFolder
from unimat.crystal_table import Crystal, from_crystals
from unimat.owned import WRITTEN

FORMS = ("cif", "poscar", "extxyz", "csv", "mattergen", "lemat", "optimade", "parquet")
FOLDER_FORMS = ("cif", "poscar", "mattergen")
# Metavars of flags whose value is no path that is written.
TEXTS = {
    "FILE_OR_JSON", "NAME", "FORMULA", "SYMBOLS", "TEXT", "K/N", "HOST:PORT", "N", "I", "STORE", "[SET=]FILE", "COLUMN",
    "KEY=PATH", "NAME=VALUE", "TARGET", "IN", "OUT", "JSON",
}  # fmt: skip


def outputs(kind):
    """Command and flag of every output of a kind."""
    found = [(name, action) for name in cli.COMMANDS for action in cli.parser_of(name)._actions]
    return [
        pytest.param(name, action, id=f"{name} {action.option_strings[0]}")
        for name, action in found
        if isinstance(action, kind)
    ]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Folder with what commands read: a run, an encoded dataset, a table and CIF files of three crystals."""
    folder = tmp_path_factory.mktemp("inputs")
    write_run(folder / "run")
    write_tiny_dataset(folder / "encoded")
    rows = [
        Crystal(f"x{i}", np.eye(3) * (4 + i), np.array([14, 6]), np.array([[0, 0, 0], [0.5] * 3])) for i in range(3)
    ]
    crystal_table.write(from_crystals(rows), folder / "t.parquet")
    crystal_table.write(random_table(8, (14, 6)), folder / "random.parquet")
    overlapping = [Crystal("o", np.eye(3) * 4, np.array([14, 14]), np.array([[0.0, 0, 0], [0.001, 0, 0]]))]
    crystal_table.write(from_crystals(overlapping), folder / "overlapping.parquet")
    return folder


def call(command, inputs):
    """Words that make a command work, or get as far as it can in no time, less its outputs."""
    run, table, judged = inputs / "run", inputs / "t.parquet", inputs / "run/sets/generated"
    splits = [word for split in ("train", "val", "test") for word in (f"--{split}", inputs / "random.parquet")]
    given = [word for split in ("train", "val", "test") for word in ("--file", f"{split}={inputs / 't.parquet'}")]
    return {
        "fetch": ["--dataset", "carbon_24", *given],
        "templates": [table],
        "substitute": ["--templates", table, "--compositions", "Si1C1"],
        "predict": ["SiC", "--templates", table, "--from", "substitution", "--engine", "none", "--count", "2"],
        "airss": ["--settings", '{"compositions": ["Si1C1"], "per_composition": 1, "soft_spheres": false}'],
        "ingest": ["--settings", json.dumps({"name": "custom", "source": str(inputs / "random.parquet")})],
        "convert": [table],
        "select": ["--crystals", table],
        "compositions": ["--crystals", table],
        "encode": [*splits, "--settings", '{"elements": ["C", "Si"]}'],
        "train": ["--encoded", inputs / "none"],
        "pack": ["--encoded", inputs / "encoded"],
        "absorb": ["--collected", inputs / "none"],
        "sample": ["--model", inputs / "none.npz"],
        "pretrained": ["perov_5"],
        "publish": ["--model", inputs / "none.npz", "--name", "mine", "--licence", "CC0-1.0"],
        "metrics": ["--crystals", inputs / "none.parquet", "--reference", table],
        "match": ["--crystals", table, "--truths", table],
        "relax": ["--crystals", inputs / "overlapping.parquet"],
        "flows": ["--crystals", inputs / "overlapping.parquet"],
        "collect": ["--crystals", inputs / "overlapping.parquet", "--store", "embedded"],
        "gather": ["--shards", judged / "relaxed.parquet", "--like", judged / "crystals.parquet", "--set", "x"],
        "reference": ["--settings", '{"reference": {"kind": "set", "set": "s"}}', "--relaxed", inputs / "none"],
        "hull": ["--relaxed", judged / "relaxed.parquet", "--reference", run / "hull/reference.parquet"],
        "md": ["--crystals", inputs / "none.parquet"],
        "compare": ["--a", judged, "--b", run / "sets/test", "--settings", '{"bootstrap": 2}'],
        "estimate": ["--crystals", table],
        "screen": ["--judged", judged],
        "agreement": ["--a", judged, "--b", judged],
        "report": ["--run-dir", run],
        "reproduction": ["--run-dir", run],
    }[command]


def foreign(folder, names=()):
    """Fill a folder with what nobody may touch: text, binaries, subfolders, hidden files, links, and more by name."""
    files = {
        "notes.txt": b"three years of work\n",
        "chapter 1/figures/a.bin": bytes(range(256)),
        ".hidden": b"mine",
        ".git/HEAD": b"ref: refs/heads/main\n",
        "x0.cif": b"my own crystal",
        "data.json": b'{"mine": 1}',
    }
    for name, content in files.items() | dict.fromkeys(names, b"mine").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "empty").mkdir()
    (folder / "a link").symlink_to("notes.txt")
    (folder / "a loop").symlink_to("a loop")
    return folder


def snapshot(folder):
    """What a folder holds: kind and content of every path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"link {path.readlink()}"
        else:
            found[name] = "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def refused(capsys, words):
    """The one line with which a command ends."""
    capsys.readouterr()
    code = cli.main([str(word) for word in words])
    said = capsys.readouterr().err.splitlines()
    assert code == 2, (words, said)
    assert len(said) == 1, said
    assert said[0].startswith("unimat")
    return said[0]


def elsewhere(command, action, folder):
    """Flags for the other outputs that a command must have, in a folder of their own."""
    words = []
    for other in cli.parser_of(command)._actions:
        if isinstance(other, OutFile | OutFolder) and other.required and other.dest != action.dest:
            words += [other.option_strings[0], folder / f"other_{other.dest}"]
    if command == "report" and action.dest == "figures":
        words += ["--out-file", folder / "page.html"]
    if command == "absorb" and action.dest == "sets_out":
        words += ["--sets", "{}"]
    return [folder / "out.parquet", *words] if command == "convert" else words


def test_every_flag_that_takes_a_value_is_known_for_what_it_is():
    """So that no command of tomorrow writes by a flag that this module does not try."""
    for command in cli.COMMANDS:
        for action in cli.parser_of(command)._actions:
            if isinstance(action, OutFile | OutFolder) or action.nargs == 0 or action.choices:
                continue
            assert action.type or action.metavar in TEXTS, (command, action.dest)
            help_text = str(action.help)
            assert "to write" not in help_text or command in ("convert", "pack"), (command, action.dest)
            assert not help_text.startswith("folder for"), (command, action.dest)


@pytest.mark.parametrize(("command", "action"), outputs(OutFile))
@pytest.mark.parametrize("place", ["thesis", "link", ".", "..", "", "thesis/", "notes.txt/out", "dangling", "new/"])
def test_a_file_is_not_written_where_there_is_anything_but_a_file(
    inputs, tmp_path, capsys, monkeypatch, command, action, place
):
    home = tmp_path / "home"
    home.mkdir()
    foreign(home)
    (home / "thesis").mkdir()
    foreign(home / "thesis")
    (home / "link").symlink_to("thesis")
    (home / "dangling").symlink_to("nowhere")
    monkeypatch.chdir(home)
    before = snapshot(tmp_path)
    flag = action.option_strings[0]
    line = refused(
        capsys, [command, *call(command, inputs), *elsewhere(command, action, tmp_path / "other"), f"{flag}={place}"]
    )
    assert snapshot(tmp_path) == before
    assert place == "" or place.rstrip("/") in line


@pytest.mark.parametrize(("command", "action"), outputs(OutFolder))
@pytest.mark.parametrize("place", ["thesis", "link", ".", "notes.txt", "", "notes.txt/out", "dangling"])
def test_a_folder_of_other_things_is_refused_before_any_work(
    inputs, tmp_path, capsys, monkeypatch, command, action, place
):
    if not action.strict and place in ("thesis", "link", "."):
        pytest.skip("other things may lie in it")
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    foreign(thesis)
    (thesis / "link").symlink_to(".")
    (thesis / "dangling").symlink_to("nowhere")
    (thesis / "thesis").mkdir()
    foreign(thesis / "thesis")
    monkeypatch.chdir(thesis)
    before = snapshot(tmp_path)
    flag = action.option_strings[0]
    if flag == "--sets-out" and place in ("thesis", "link", "."):
        pytest.skip("it holds folders of sets, which are checked one by one")
    line = refused(
        capsys, [command, *call(command, inputs), *elsewhere(command, action, tmp_path / "other"), f"{flag}={place}"]
    )
    assert snapshot(tmp_path) == before
    assert place == "" or place in line


STRANGE = {"bytes": b"mine", "json": b'{"mine": 1}', "empty": b""}


def own_names(action, words):
    """File names that a command would write into its folder."""
    args = cli.parser_of(words[0]).parse_args([str(word) for word in words[1:]])
    names = [name for name in action.names_of(args) if not name.endswith("/**")]
    return [name.replace("[0-9a-f]" * 16, "0123456789abcdef").replace("*", "00000") for name in names]


@pytest.mark.parametrize(("command", "action"), outputs(OutFolder))
@pytest.mark.parametrize("content", [*STRANGE, "table", "folder", "link"])
def test_files_of_the_same_names_that_another_hand_wrote_stay(inputs, tmp_path, capsys, command, action, content):
    """A JSON file with other keys, a table with other columns, a folder or a link where a file would be."""
    thesis, flag = tmp_path / "thesis", action.option_strings[0]
    thesis.mkdir()
    words = [command, *call(command, inputs), *elsewhere(command, action, tmp_path / "other"), flag, thesis]
    names = own_names(action, words)
    if not names:
        pytest.skip("its names depend on its input")
    for name in names:
        path = thesis / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content == "table":
            pq.write_table(pa.table({"mine": [1, 2]}), path)
        elif content == "folder":
            (path / "inside").mkdir(parents=True)
        elif content == "link":
            path.symlink_to(inputs / "t.parquet")
        else:
            path.write_bytes(STRANGE[content])
    before = snapshot(thesis)
    if content == "empty" and all(name.endswith(".jsonl") for name in names):
        pytest.skip("as of a command that was killed at its first line")
    refused(capsys, words)
    assert snapshot(thesis) == before


FORCED = (
    "fetch", "substitute", "predict", "airss", "ingest", "select", "encode", "pretrained", "hull", "screen",
    "agreement", "pack", "report",
)  # fmt: skip


@pytest.mark.parametrize("command", FORCED)
def test_force_writes_beside_and_touches_nothing_else(inputs, tmp_path, command):
    """Twice: once with what another hand wrote, and once more with what the command wrote."""
    flag = "--figures" if command == "report" else "--out"
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    foreign(thesis, names=["rejected.parquet"])
    before = {name: kind for name, kind in snapshot(thesis).items() if name != "rejected.parquet"}
    page = ["--out-file", tmp_path / "page.html"] if command == "report" else []
    words = [str(word) for word in (command, *call(command, inputs), *page, flag, thesis, "--force")]
    for _ in range(2):
        assert cli.main(words) == 0
        after = snapshot(thesis)
        assert after.items() >= before.items()
        assert len(after) > len(before)
    kept = {path.read_bytes() for path in thesis.glob("rejected.parquet*")}
    assert b"mine" in kept


FOREIGN_FILES = {
    "text": b"three years of work\n",
    "json": b'{"mine": 1}',
    "csv": b"formula,count\nNaCl,2\n",
    "html": b"<!doctype html><title>mine</title>",
}


@pytest.mark.parametrize(("command", "action"), outputs(OutFile))
@pytest.mark.parametrize("content", [*FOREIGN_FILES, "table"])
def test_a_file_that_another_hand_wrote_is_not_replaced(inputs, tmp_path, capsys, command, action, content):
    thesis, flag = tmp_path / "thesis", action.option_strings[0]
    if content == "table":
        pq.write_table(pa.table({"mine": [1, 2]}), thesis)
    else:
        thesis.write_bytes(FOREIGN_FILES[content])
    before = snapshot(tmp_path)
    words = [command, *call(command, inputs), *elsewhere(command, action, tmp_path / "other")]
    assert "thesis is there, and unimat did not write it" in refused(capsys, [*words, flag, thesis])
    assert snapshot(tmp_path) == before


def test_files_of_ones_own_are_written_again(inputs, tmp_path):
    """And files that hold nothing, as `mktemp` makes them."""
    run, judged = inputs / "run", inputs / "run/sets/generated"
    for words in (
        ["compositions", *call("compositions", inputs), "--out-file", tmp_path / "f.csv"],
        ["estimate", *call("estimate", inputs), "--out-file", tmp_path / "hours.csv"],
        ["match", *call("match", inputs), "--out-file", tmp_path / "m.json", "--pairs", tmp_path / "m.parquet"],
        ["report", "--run-dir", run, "--out-file", tmp_path / "r.html", "--headline", tmp_path / "h.json"],
        [
            *("metrics", "--crystals", inputs / "t.parquet", "--reference", judged / "crystals.parquet"),
            *("--out-file", tmp_path / "s.json", "--verdicts", tmp_path / "v.parquet"),
            *("--verdicts-csv", tmp_path / "v.csv"),
        ],
        ["pack", *call("pack", inputs), "--out-file", tmp_path / "a.tar.gz"],
    ):
        for path in words:
            if isinstance(path, Path) and path.parent == tmp_path:
                path.touch()
        for _ in range(2):
            assert cli.main([str(word) for word in words]) == 0, words


@pytest.mark.parametrize("form", ["extxyz", "csv", "lemat", "optimade"])
def test_convert_keeps_a_file_that_may_be_somebodys(inputs, tmp_path, capsys, form):
    out = tmp_path / "out"
    out.write_text("mine")
    words = ["convert", str(inputs / "t.parquet"), str(out), "--to", form]
    assert "say --force to write it anew, which keeps what is there as out.kept" in refused(capsys, words)
    for _ in range(2):  # the second time writes what is there already
        assert cli.main([*words, "--force"]) == 0
        assert (tmp_path / "out.kept").read_text() == "mine"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.kept"]
    assert len(out.read_bytes()) > 100


@pytest.mark.parametrize("form", FORMS)
def test_convert_in_every_form(inputs, tmp_path, capsys, monkeypatch, form):
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    foreign(thesis)
    (tmp_path / "link").symlink_to(thesis)
    before = snapshot(thesis)
    words = ["convert", inputs / "t.parquet"]
    for place in (thesis, tmp_path / "link", f"{thesis}/", thesis / "notes.txt/x"):
        refused(capsys, [*words, place, "--to", form])
    monkeypatch.chdir(thesis)
    for place in (".", "chapter 1", "a link" if form in FOLDER_FORMS else "a loop", ""):
        refused(capsys, [*words, place, "--to", form])
    assert snapshot(thesis) == before


@pytest.mark.parametrize("form", FOLDER_FORMS)
def test_convert_replaces_its_own_files_and_no_others(inputs, tmp_path, capsys, form):
    out, words = tmp_path / "out", ["convert", str(inputs / "t.parquet"), str(tmp_path / "out"), "--to", form]
    assert cli.main(words) == 0
    first = snapshot(out)
    assert cli.main(words) == 0
    assert snapshot(out) == first
    fewer = tmp_path / "fewer.parquet"
    crystal_table.write(crystal_table.read(inputs / "t.parquet").take([0]), fewer)
    assert cli.main(["convert", str(fewer), str(out), "--to", form]) == 0
    assert len(snapshot(out)) == (len(first) if form == "mattergen" else len(first) - 2)
    (out / "notes.txt").write_text("mine")
    assert "notes.txt" in refused(capsys, words)
    assert cli.main([*words, "--force"]) == 0
    assert snapshot(out).items() >= {"notes.txt": hashlib.sha256(b"mine").hexdigest()}.items()
    assert len(snapshot(out)) == len(first) + 1


def test_convert_never_reads_and_writes_one_place(inputs, tmp_path, capsys):
    cifs, table = tmp_path / "cifs", tmp_path / "t.parquet"
    shutil.copy(inputs / "t.parquet", table)
    assert cli.main(["convert", str(table), str(cifs)]) == 0
    before = snapshot(tmp_path)
    for words in ([table, table], [cifs, cifs], [cifs, cifs / "in"], [cifs / "x0.cif", cifs], [cifs, tmp_path]):
        refused(capsys, ["convert", *words])
        refused(capsys, ["convert", *words, "--force"])
    assert snapshot(tmp_path) == before


def test_two_tables_in_one_folder_keep_their_lists_of_what_was_left_out(inputs, tmp_path):
    for name in ("a", "b", "crystals"):
        assert cli.main(["convert", str(inputs / "t.parquet"), str(tmp_path / f"{name}.parquet")]) == 0
    lists = sorted(path.name for path in tmp_path.glob("*rejected*"))
    assert lists == ["a_rejected.parquet", "b_rejected.parquet", "rejected.parquet"]


def test_a_list_that_nobody_named_replaces_nothing_but_such_a_list(inputs, tmp_path, capsys):
    words = ["convert", inputs / "t.parquet", tmp_path / "crystals.parquet"]
    for content in (b"mine", (inputs / "t.parquet").read_bytes()):
        (tmp_path / "rejected.parquet").write_bytes(content)
        assert "lists no crystals that were left out" in refused(capsys, words)
        assert (tmp_path / "rejected.parquet").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["rejected.parquet"]
    assert "name the same file" in refused(capsys, [*words, "--rejected", tmp_path / "crystals.parquet"])


def test_a_set_of_another_command_is_not_replaced(inputs, tmp_path, capsys):
    out, table = tmp_path / "set", str(inputs / "t.parquet")
    assert cli.main(["select", "--crystals", table, "--out", str(out)]) == 0
    before = snapshot(out)
    line = refused(capsys, ["airss", *call("airss", inputs), "--out", out])
    assert "crystals.parquet, which `unimat airss` would replace and did not write" in line
    assert snapshot(out) == before
    assert cli.main(["select", "--crystals", table, "--take", "2", "--out", str(out)]) == 0
    assert len(crystal_table.read(out / "crystals.parquet")) == 2
    line = refused(capsys, ["select", "--crystals", out / "crystals.parquet", "--out", out])
    assert "would replace" in line
    assert "which is read" in line


def test_a_folder_of_an_earlier_version_is_known_by_its_names_and_contents(inputs, tmp_path):
    """Without a word of who made it, and with what a killed command left."""
    out = tmp_path / "set"
    out.mkdir()
    shutil.copy(inputs / "t.parquet", out / "crystals.parquet")
    crystal_table.write_rejected([], out / "rejected.parquet")
    (out / ".crystals.parquet.a1b2c3d4").mkdir()
    assert cli.main(["select", "--crystals", str(inputs / "t.parquet"), "--out", str(out)]) == 0


def test_files_of_a_run_may_lie_in_the_folder_of_a_set(inputs, tmp_path):
    """As the workflow and the documentation put them there."""
    run = tmp_path / "run"
    shutil.copytree(inputs / "run", run)
    judged, words = run / "sets/generated", [str(word) for word in call("hull", tmp_path)]
    (judged / "relax").mkdir(exist_ok=True)
    shutil.copy(judged / "relaxed.parquet", judged / "relax/1-of-1.parquet")
    for _ in range(2):
        assert cli.main(["hull", *words, "--out", str(judged)]) == 0


@pytest.mark.parametrize("command", ["metrics", "match", "gather", "compare", "relax", "compositions", "estimate"])
def test_the_old_flags_for_files_are_in_no_help_and_go_on(inputs, tmp_path, capsys, command):
    flags = {"compare": ["--out-json", tmp_path / "a.json", "--out-pairs", tmp_path / "b.parquet"]}
    flags |= {"match": ["--out", tmp_path / "a.json", "--pairs", tmp_path / "b.parquet"]}
    flags |= {"relax": ["--out", tmp_path / "a.parquet", "--work", tmp_path / "work"]}
    words = [command, *call(command, inputs), *flags.get(command, ["--out", tmp_path / "a.csv"])]
    if command == "metrics":
        assert "none.parquet does not exist" in refused(capsys, words)  # and no warning beside the error
    else:
        assert cli.main([str(word) for word in words]) == 0
        said = capsys.readouterr().err
        assert (
            f"unimat {command}: warning: {'--out-json' if command == 'compare' else '--out'} is now --out-file" in said
        )
    assert "--out " not in cli.parser_of(command).format_help()
    assert "--out-json" not in cli.parser_of(command).format_help()


def test_flags_are_not_shortened(inputs, tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["hull", "--relaxed", "x", "--ref", "y", "--out", str(tmp_path)])
    assert "required: --reference" in capsys.readouterr().err


def test_two_flags_do_not_name_one_file_and_no_file_is_read_and_written(inputs, tmp_path, capsys):
    out, table = tmp_path / "out.json", inputs / "t.parquet"
    line = refused(capsys, ["match", *call("match", inputs), "--out-file", out, "--pairs", out])
    assert "--out-file and --pairs name the same file" in line
    before = table.read_bytes()
    line = refused(capsys, ["match", *call("match", inputs), "--out-file", out, "--pairs", table])
    assert "--pairs" in line
    assert "would replace what is read" in line
    assert table.read_bytes() == before


WRITERS = ("select", "encode", "convert", "ingest", "hull", "agreement", "screen")


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_full_disk_leaves_what_was_there(inputs, tmp_path, monkeypatch, capsys, command, after):
    """The disk is full at one of the first files that are opened to write, and the folder holds an earlier result."""
    out = tmp_path / "out"
    words = [
        str(word) for word in (command, *call(command, inputs), *([out] if command == "convert" else ["--out", out]))
    ]
    assert cli.main(words) == 0
    before, opened = snapshot(tmp_path), []
    original = Path.open

    def full(path, mode="r", *args, **options):
        if any(letter in mode for letter in "wa+x"):
            opened.append(path)
            if len(opened) > after:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return original(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", full)
    capsys.readouterr()
    code = cli.main(words)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("unimat")]
    if len(opened) > after:
        assert code == 2
        assert ["no space left" in line for line in said] == [True]
    assert snapshot(tmp_path) == before  # where nothing failed, the same was written again


def test_every_folder_that_is_declared_has_its_names_in_one_place():
    for parameters in outputs(OutFolder):
        command, action = parameters.values
        assert action.by in WRITTEN, (command, action.dest)
