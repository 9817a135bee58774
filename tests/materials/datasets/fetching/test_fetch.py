"""Fetching from a mirror, from files of any name, and from a server of our own."""

import dataclasses
import hashlib
import zipfile

import pytest

from tests.materials.datasets.fetching.file_server import CONTENT, Server, blob_id, running_server  # noqa: F401 - a fixture
from unimat.cli import main
from unimat.errors import UserError
from unimat.files import git_blob_id, read_json
from unimat.materials.datasets.fetching import download as download_module
from unimat.materials.datasets.fetching.fetch import fetch_dataset, read_manifest
from unimat.materials.datasets.known import CARBON_24, MP_20, SILICON_CARBON, Dataset, OtherForm, PublishedFile


def dataset_at(url, **changes):
    files = tuple(
        PublishedFile(name, split := name.split(".")[0], f"{url}/{name}", split, blob_id(body))
        for name, body in CONTENT.items()
    )
    dataset = Dataset("toy", "Toy", "CC0", "nobody", "http://nowhere", files)
    return dataclasses.replace(dataset, **changes)


def test_downloads_are_checked_and_described(server, tmp_path):
    manifest = fetch_dataset(dataset_at(server), tmp_path)
    for name, body in CONTENT.items():
        assert (tmp_path / name).read_bytes() == body
    assert manifest == read_json(tmp_path / "manifest.json")
    assert manifest["complete"]
    entry = manifest["files"][0]
    assert entry["source"] == f"{server}/train.csv"
    assert (entry["verified"], entry["splits"]) == (True, ["train"])
    assert entry["sha256"] == hashlib.sha256(CONTENT["train.csv"]).hexdigest()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "test.csv", "train.csv", "val.csv"]


def test_what_is_there_already_is_not_fetched_again(server, tmp_path):
    first = fetch_dataset(dataset_at(server), tmp_path)
    Server.requests.clear()
    (tmp_path / "val.csv").write_text("damaged")
    assert fetch_dataset(dataset_at(server), tmp_path) == first
    assert [name for name, _ in Server.requests] == ["val.csv"]


def test_no_network_is_told_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.delenv("UNIMAT_DATA_DIR", raising=False)
    monkeypatch.setattr(download_module, "RETRY_DELAYS", (0.0,))
    unreachable = dataset_at("http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"train\.csv could not be downloaded from http://127\.0\.0\.1:9/train\.csv"):
        fetch_dataset(unreachable, tmp_path)
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("inside", ["toy", "."])
@pytest.mark.parametrize("by", ["argument", "variable"])
def test_a_mirror_needs_no_network(tmp_path, monkeypatch, inside, by):
    mirror = tmp_path / "mirror"
    (mirror / inside).mkdir(parents=True)
    for name, body in CONTENT.items():
        (mirror / inside / name).write_bytes(body)
    monkeypatch.setenv("UNIMAT_DATA_DIR", str(mirror) if by == "variable" else "")
    manifest = fetch_dataset(dataset_at("http://127.0.0.1:9"), tmp_path / "out", mirror if by == "argument" else None)
    assert [entry["source"] for entry in manifest["files"]] == [f"mirror: toy/{name}" for name in CONTENT]
    assert all(entry["verified"] for entry in manifest["files"])
    # A copy, not a link: the mirror may be on another device, or read only.
    assert (tmp_path / "out" / "val.csv").stat().st_nlink == 1


def test_a_mirror_with_a_damaged_file_is_told(tmp_path):
    for name, body in CONTENT.items():
        (tmp_path / name).write_bytes(body[:-1])
    with pytest.raises(
        UserError,
        match=r"train\.csv is not the publisher's file \(git blob id .*out of the mirror, or name .*--file train=",
    ):
        fetch_dataset(dataset_at("http://127.0.0.1:9"), tmp_path / "out", tmp_path)


def test_a_missing_mirror_is_told(tmp_path):
    with pytest.raises(UserError, match=r"mirror: .*nowhere is no folder"):
        fetch_dataset(dataset_at("http://127.0.0.1:9"), tmp_path / "out", tmp_path / "nowhere")


def test_what_a_mirror_lacks_is_taken_in_another_form_or_downloaded(server, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "val.csv").write_bytes(CONTENT["val.csv"])
    (mirror / "part.csv.gz").write_bytes(b"some rows")
    forms = (OtherForm("part.csv.gz", ("train",), False, "some rows only"),)
    manifest = fetch_dataset(dataset_at(server, other_forms=forms), tmp_path / "out", mirror)
    train, val, test = manifest["files"]
    assert train["name"] == "part.csv.gz"
    assert train["note"] == "mirror, not the publisher's file: some rows only"
    assert (train["verified"], train["complete"], manifest["complete"]) == (False, False, False)
    assert train["git_blob_id"] == git_blob_id(mirror / "part.csv.gz")
    assert (val["source"], test["source"]) == ("mirror: toy/val.csv", f"{server}/test.csv")


def test_manifest_of_another_dataset_or_of_none_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("UNIMAT_DATA_DIR", raising=False)
    with pytest.raises(UserError, match=r"manifest\.json does not exist; run `unimat fetch --dataset mp_20"):
        read_manifest(tmp_path, "mp_20")
    fetch_dataset(SILICON_CARBON, tmp_path)
    with pytest.raises(UserError, match="is of dataset 'silicon_carbon', expected 'mp_20'"):
        read_manifest(tmp_path, "mp_20")


def test_the_embedded_dataset_has_nothing_to_download(tmp_path, monkeypatch):
    monkeypatch.delenv("UNIMAT_DATA_DIR", raising=False)
    manifest = fetch_dataset(SILICON_CARBON, tmp_path)
    assert (manifest["embedded"], manifest["files"], manifest["complete"]) == (True, [], True)


@pytest.mark.published
def test_published_mirrors_say_what_they_lack(published_data, tmp_path):
    carbon = fetch_dataset(CARBON_24, tmp_path / "c", published_data)
    assert carbon["complete"]
    assert [(entry["name"], entry["verified"]) for entry in carbon["files"]][1:] == [
        ("val.csv", True),
        ("test.csv", True),
    ]
    materials_project = fetch_dataset(MP_20, tmp_path / "m", published_data)
    assert materials_project["complete"] == (materials_project["files"][0]["name"] == "train.csv")


def without_checksums(url, **changes):
    """A dataset whose publisher gives no checksums, as GNoME's."""
    dataset = dataset_at(url, **changes)
    return dataclasses.replace(
        dataset, files=tuple(dataclasses.replace(file, blob_id=None) for file in dataset.files), notice="look, not sell"
    )


def test_without_published_checksums_the_first_fetch_is_recorded_and_held_to(server, tmp_path):
    manifest = fetch_dataset(without_checksums(server), tmp_path)
    assert all(entry["verified"] for entry in manifest["files"])  # by the server's own MD5
    assert manifest["files"][0]["size"] == len(CONTENT["train.csv"])
    lines = (tmp_path / "checksums.sha256").read_text().splitlines()
    assert lines[1] == f"{hashlib.sha256(CONTENT['train.csv']).hexdigest()}  train.csv"
    Server.requests.clear()
    assert fetch_dataset(without_checksums(server), tmp_path) == manifest
    assert Server.requests == []


def test_a_published_file_that_changes_later_is_told(server, tmp_path):
    fetch_dataset(without_checksums(server), tmp_path)
    (tmp_path / "manifest.json").unlink()  # as Snakemake does before it runs a rule again
    (tmp_path / "val.csv").unlink()
    Server.content["val.csv"] = b"material_id,cif\nanother version\n"
    with pytest.raises(UserError, match=r"val\.csv .*changed since it was first fetched; delete .*checksums\.sha256"):
        fetch_dataset(without_checksums(server), tmp_path)
    (tmp_path / "checksums.sha256").unlink()
    fetch_dataset(without_checksums(server), tmp_path)
    assert (tmp_path / "val.csv").read_bytes() == Server.content["val.csv"]


def test_a_file_damaged_on_this_machine_is_fetched_again(server, tmp_path, caplog):
    fetch_dataset(without_checksums(server), tmp_path)
    (tmp_path / "val.csv").write_bytes(b"damaged")
    Server.requests.clear()
    fetch_dataset(without_checksums(server), tmp_path)
    assert [name for name, _ in Server.requests] == ["val.csv"]
    assert "val.csv has changed since it was fetched" in caplog.text


def test_a_file_put_in_place_by_hand_is_taken(server, tmp_path):
    (tmp_path / "val.csv").write_bytes(b"material_id,cif\nmine\n")
    manifest = fetch_dataset(without_checksums(server), tmp_path)
    assert [name for name, _ in Server.requests] == ["train.csv", "test.csv"]
    assert [entry["verified"] for entry in manifest["files"]] == [True, False, True]


def test_the_notice_of_a_licence_is_said_once_and_recorded(server, tmp_path, caplog):
    manifest = fetch_dataset(without_checksums(server), tmp_path)
    assert [record.getMessage() for record in caplog.records].count("look, not sell") == 1
    assert (manifest["notice"], manifest["licence"]) == ("look, not sell", "CC0")


def test_files_of_any_name_are_taken(tmp_path, caplog, monkeypatch):
    monkeypatch.delenv("UNIMAT_DATA_DIR", raising=False)
    (tmp_path / "mine").mkdir()
    names = {"train": "MP20 (training).csv", "val": "b.csv", "test": "c.v2.csv.gz"}
    for key, name in names.items():
        (tmp_path / "mine" / name).write_bytes(CONTENT[f"{key}.csv"] if key == "train" else b"material_id,cif\n")
    files = {key: tmp_path / "mine" / name for key, name in names.items()}
    manifest = fetch_dataset(dataset_at("http://127.0.0.1:9"), tmp_path / "out", files=files)
    train, val, test = manifest["files"]
    assert (train["name"], train["verified"], train["complete"]) == ("train.csv", True, True)
    assert train["source"] == f"given: {files['train']}"
    assert (val["name"], val["verified"], val["splits"]) == ("val.csv", False, ["val"])
    assert (test["name"], test["note"]) == ("test.csv.gz", "given by hand, not known to be the publisher's file")
    assert "b.csv is not the publisher's val.csv (git blob id " in caplog.text
    assert not manifest["complete"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"valid": "val.csv"}, r"files: 'valid' is none of dataset toy; its files are train, val, test"),
        ({"val": "nowhere.csv"}, r"files: val: nowhere\.csv is no file; give the path of one, or leave val out"),
        ({"val": "pointer.csv"}, r"pointer\.csv is a Git LFS pointer"),
    ],
)
def test_files_that_cannot_be_taken_are_told(tmp_path, monkeypatch, files, said):
    monkeypatch.delenv("UNIMAT_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pointer.csv").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(UserError, match=said):
        fetch_dataset(dataset_at("http://127.0.0.1:9"), tmp_path / "out", files=files)
    assert not (tmp_path / "out").exists()


def test_a_mirror_cloned_without_git_lfs_is_told(tmp_path):
    for name in CONTENT:
        (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(UserError, match=r"train\.csv is a Git LFS pointer .*run `git lfs pull` there, or get it from"):
        fetch_dataset(dataset_at("http://127.0.0.1:9"), tmp_path / "out", tmp_path)


def test_a_full_disk_while_copying_is_one_line(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    for name, body in CONTENT.items():
        (tmp_path / name).write_bytes(body)
    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(UserError, match=r"train\.csv cannot be copied to .*out: no space left; make room"):
        fetch_dataset(dataset_at("http://127.0.0.1:9"), tmp_path / "out", tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


def packed_at(url, tmp_path):
    """A dataset whose files lie in one archive, as Alex-MP-20's."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, body in CONTENT.items():
            archive.writestr(f"all/{name}", body)
    digest = hashlib.sha256((tmp_path / "all.zip").read_bytes()).hexdigest()
    files = tuple(
        PublishedFile(f"{split}.csv", split, f"{url}/all.zip", split, sha256=digest, member=f"all/{split}.csv")
        for split in ("train", "val")
    )
    return Dataset("toy", "Toy", "CC0", "nobody", "http://nowhere", files)


def test_an_archive_is_downloaded_once_and_unpacked(server, tmp_path):
    dataset = packed_at(server, tmp_path)
    Server.content["all.zip"] = (tmp_path / "all.zip").read_bytes()
    manifest = fetch_dataset(dataset, tmp_path / "out")
    assert [name for name, _ in Server.requests] == ["all.zip"]
    assert [entry["source"] for entry in manifest["files"]] == [
        f"{server}/all.zip: all/{s}.csv" for s in ("train", "val")
    ]
    assert all(entry["verified"] for entry in manifest["files"])
    assert (tmp_path / "out" / "val.csv").read_bytes() == CONTENT["val.csv"]
    (tmp_path / "out" / "val.csv").write_text("damaged")
    assert fetch_dataset(dataset, tmp_path / "out")["files"][1]["sha256"] == manifest["files"][1]["sha256"]
    assert len(Server.requests) == 1


def test_an_archive_in_the_mirror_needs_no_network(tmp_path):
    manifest = fetch_dataset(packed_at("http://127.0.0.1:9", tmp_path), tmp_path / "out", tmp_path)
    assert manifest["files"][0]["source"] == "mirror: toy/all.zip: all/train.csv"


def test_a_clone_of_the_publishers_tree_is_a_mirror(tmp_path):
    (tmp_path / "data" / "toy").mkdir(parents=True)
    for name, body in CONTENT.items():
        (tmp_path / "data" / "toy" / name).write_bytes(body)
    dataset = dataset_at("http://127.0.0.1:9", mirror_folders=("data/toy",))
    assert all(entry["verified"] for entry in fetch_dataset(dataset, tmp_path / "out", tmp_path)["files"])


def test_the_command_line_takes_files_by_key(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("UNIMAT_DATA_DIR", raising=False)
    assert main(["fetch", "--dataset", "gnome", "--out", str(tmp_path), "--file", "table"]) == 2
    assert "--file table: expected KEY=PATH, such as train=/data/train.csv" in capsys.readouterr().err
    assert main(["fetch", "--dataset", "gnome", "--out", str(tmp_path), "--file", "train=a.csv"]) == 2
    assert "'train' is none of dataset gnome; its files are table, structures" in capsys.readouterr().err


def test_a_file_that_was_not_fetched_is_not_replaced(tmp_path):
    """One of the same name as a published file, and one of the name that a file given by hand gets."""
    source, out = tmp_path / "mirror", tmp_path / "out"
    for folder in (source, out):
        folder.mkdir()
    for name, body in CONTENT.items():
        (source / name).write_bytes(body)
    (out / "train.csv").write_text("mine")
    dataset = dataset_at("http://127.0.0.1:9")
    with pytest.raises(
        UserError, match=r"train\.csv is there already, is not the publisher's file and was not fetched"
    ):
        fetch_dataset(dataset, out, source)
    assert (out / "train.csv").read_text() == "mine"
    (out / "train.txt").write_text("mine too")
    (tmp_path / "given.txt").write_text("another one")
    with pytest.raises(UserError, match=r"train\.txt is there already"):
        fetch_dataset(dataset, out, source, {"train": tmp_path / "given.txt"})
    assert (out / "train.txt").read_text() == "mine too"
    fetch_dataset(dataset, out, source, force=True)
    assert (out / "train.csv").read_bytes() == CONTENT["train.csv"]
