"""Fetching from a mirror and from a server of our own."""

import dataclasses
import hashlib
import http.server
import json
import threading

import pytest

from unimat.errors import UserError
from unimat.files import git_blob_id
from unimat.materials import download as download_module
from unimat.materials.datasets import CARBON_24, MP_20, SILICON_CARBON, Dataset, OtherForm, PublishedFile
from unimat.materials.download import download
from unimat.materials.fetch import fetch_dataset, read_manifest

CONTENT = {f"{split}.csv": f"material_id,cif\n{split}\n".encode() * 5000 for split in ("train", "val", "test")}


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; `failures` are answered first, `cut` ends one body early."""

    failures: list[int] = []  # noqa: RUF012 - reset by the fixture
    requests: list[tuple[str, str | None]] = []  # noqa: RUF012
    cut = 0

    def do_GET(self):
        kind, name = type(self), self.path.rsplit("/", 1)[-1]
        kind.requests.append((name, self.headers["Range"]))
        if kind.failures:
            self.send_error(kind.failures.pop(0))
            return
        body = CONTENT[name]
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if self.headers["Range"] else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end, kind.cut = (kind.cut or len(body)), 0
        self.wfile.write(body[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("UNIMAT_DATA_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download_module, "RETRY_DELAYS", (0.0, 0.0))
    Server.failures, Server.requests, Server.cut = [], [], 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def dataset_at(url, **changes):
    files = tuple(
        PublishedFile(name, name.split(".")[0], f"{url}/{name}", blob_id(body)) for name, body in CONTENT.items()
    )
    dataset = Dataset("toy", "Toy", "CC0", "nobody", "http://nowhere", files)
    return dataclasses.replace(dataset, **changes)


def test_downloads_are_checked_and_described(server, tmp_path):
    manifest = fetch_dataset(dataset_at(server), tmp_path)
    for name, body in CONTENT.items():
        assert (tmp_path / name).read_bytes() == body
    assert manifest == json.loads((tmp_path / "manifest.json").read_text())
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


def test_an_interrupted_download_goes_on_where_it_stopped(server, tmp_path):
    (tmp_path / "train.csv.part").write_bytes(CONTENT["train.csv"][:1000])
    download(f"{server}/train.csv", tmp_path / "train.csv", blob_id(CONTENT["train.csv"]))
    assert Server.requests == [("train.csv", "bytes=1000-")]
    assert (tmp_path / "train.csv").read_bytes() == CONTENT["train.csv"]
    assert not (tmp_path / "train.csv.part").exists()


def test_a_whole_part_file_needs_no_byte_more(server, tmp_path):
    (tmp_path / "train.csv.part").write_bytes(CONTENT["train.csv"])
    download(f"{server}/train.csv", tmp_path / "train.csv", blob_id(CONTENT["train.csv"]))
    assert (tmp_path / "train.csv").read_bytes() == CONTENT["train.csv"]


def test_server_errors_and_cut_connections_are_retried(server, tmp_path):
    Server.failures, Server.cut = [500, 503], 2000
    download(f"{server}/val.csv", tmp_path / "val.csv", blob_id(CONTENT["val.csv"]), delays=(0.0, 0.0, 0.0))
    assert (tmp_path / "val.csv").read_bytes() == CONTENT["val.csv"]
    assert [asked for _, asked in Server.requests] == [None, None, None, "bytes=2000-"]


def test_a_refusal_is_not_retried(server, tmp_path):
    Server.failures = [404]
    with pytest.raises(
        UserError, match=r"val\.csv could not be downloaded from http.*404.*set mirror.*UNIMAT_DATA_DIR"
    ):
        download(f"{server}/val.csv", tmp_path / "val.csv", blob_id(b""))
    assert len(Server.requests) == 1


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(
        UserError, match=r"val\.csv from http://.* has git blob id .*, expected 0+; run fetch again"
    ) as error:
        download(f"{server}/val.csv", tmp_path / "val.csv", "0" * 40)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


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
        UserError, match=r"train\.csv is not the publisher's file \(git blob id .*take it out of the mirror"
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
