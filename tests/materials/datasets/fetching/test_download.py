"""Downloads from a server of our own."""

import dataclasses
import errno
import io
import urllib.request

import pytest

from tests.materials.datasets.fetching.file_server import CONTENT, Server, published, running_server  # noqa: F401 - a fixture
from unimat.errors import UserError
from unimat.materials.datasets.fetching import download as download_module
from unimat.materials.datasets.fetching.download import download


def test_an_interrupted_download_goes_on_where_it_stopped(server, tmp_path):
    (tmp_path / "train.csv.part").write_bytes(CONTENT["train.csv"][:1000])
    download(published(server, "train.csv"), tmp_path / "train.csv")
    assert Server.requests == [("train.csv", "bytes=1000-")]
    assert (tmp_path / "train.csv").read_bytes() == CONTENT["train.csv"]
    assert not (tmp_path / "train.csv.part").exists()


def test_a_whole_part_file_needs_no_byte_more(server, tmp_path):
    (tmp_path / "train.csv.part").write_bytes(CONTENT["train.csv"])
    download(published(server, "train.csv"), tmp_path / "train.csv")
    assert (tmp_path / "train.csv").read_bytes() == CONTENT["train.csv"]


def test_server_errors_and_cut_connections_are_retried(server, tmp_path):
    Server.failures, Server.cut = [500, 503], 2000
    download(published(server, "val.csv"), tmp_path / "val.csv", delays=(0.0, 0.0, 0.0))
    assert (tmp_path / "val.csv").read_bytes() == CONTENT["val.csv"]
    assert [asked for _, asked in Server.requests] == [None, None, None, "bytes=2000-"]


def test_a_refusal_is_not_retried(server, tmp_path):
    Server.failures = [404]
    with pytest.raises(
        UserError, match=r"val\.csv could not be downloaded from http.*404.*set mirror.*UNIMAT_DATA_DIR"
    ):
        download(published(server, "val.csv"), tmp_path / "val.csv")
    assert len(Server.requests) == 1


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(
        UserError, match=r"val\.csv from http://.* has git blob id .*, expected git blob id 0+; run fetch again"
    ) as error:
        download(published(server, "val.csv", blob_id="0" * 40), tmp_path / "val.csv")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_has_changed_meanwhile_is_not_spliced(server, tmp_path):
    Server.cut = 3000
    with pytest.raises(UserError, match="connection ended after 3000 of"):
        download(published(server, "val.csv", blob_id=None), tmp_path / "val.csv", delays=())
    assert (tmp_path / "val.csv.part").stat().st_size == 3000
    Server.content["val.csv"] = b"another, longer file\n" * 9000
    download(published(server, "val.csv", blob_id=None), tmp_path / "val.csv", delays=())
    assert (tmp_path / "val.csv").read_bytes() == Server.content["val.csv"]
    assert Server.requests[-1] == ("val.csv", "bytes=3000-")
    assert [path.name for path in tmp_path.iterdir()] == ["val.csv"]


def test_a_server_that_ignores_if_range_is_found_out(server, tmp_path):
    Server.cut, Server.deaf = 3000, True
    with pytest.raises(UserError, match="connection ended"):
        download(published(server, "val.csv", blob_id=None), tmp_path / "val.csv", delays=())
    Server.content["val.csv"] = b"another, longer file\n" * 9000
    download(published(server, "val.csv", blob_id=None), tmp_path / "val.csv", delays=(0.0,))
    assert (tmp_path / "val.csv").read_bytes() == Server.content["val.csv"]
    assert [asked for _, asked in Server.requests] == [None, "bytes=3000-", None]


def test_without_etag_and_checksum_a_download_starts_over(server, tmp_path):
    Server.cut, Server.etags = 3000, False
    download(published(server, "val.csv", blob_id=None), tmp_path / "val.csv", delays=(0.0,))
    assert [asked for _, asked in Server.requests] == [None, None]
    assert (tmp_path / "val.csv").read_bytes() == CONTENT["val.csv"]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "val.csv.part").write_bytes(CONTENT["val.csv"] + b"more")
    download(published(server, "val.csv"), tmp_path / "val.csv", delays=(0.0,))
    assert (tmp_path / "val.csv").read_bytes() == CONTENT["val.csv"]


def test_the_md5_that_google_states_is_checked(server, tmp_path, monkeypatch):
    checked = download(published(server, "val.csv", blob_id=None), tmp_path / "val.csv")
    assert checked.startswith("md5 ")
    monkeypatch.setattr(download_module, "md5", lambda path: b"\0" * 16)
    with pytest.raises(UserError, match=r"test\.csv from http.* has not the MD5 that the server states, .*; run fetch"):
        download(published(server, "test.csv", blob_id=None), tmp_path / "test.csv")
    assert not (tmp_path / "test.csv.part").exists()
    Server.hashed = False
    assert download(published(server, "train.csv", blob_id=None), tmp_path / "train.csv") == ""


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html>\n<title>Sign in</title>", "is an HTML page"),
        (b"\xef\xbb\xbf \n<html><body>403 Forbidden</body></html>", "is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 186506244\n", "is a Git LFS pointer"),
    ],
)
def test_a_page_or_a_pointer_is_not_taken_for_the_file(server, tmp_path, content, said, checksum):
    file = published(server, "val.csv") if checksum else published(server, "val.csv", blob_id=None)
    Server.content["val.csv"] = content
    with pytest.raises(UserError, match=rf"val\.csv {said}.*not the file itself; look at http.*val\.csv") as error:
        download(file, tmp_path / "val.csv")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
    assert len(Server.requests) == 1


def test_a_truncated_zip_is_not_taken(server, tmp_path):
    Server.content["by_id.zip"] = b"PK\x03\x04" + b"\0" * 1000
    with pytest.raises(UserError, match=r"by_id\.zip is no zip, or a truncated one \(1004 bytes\)"):
        download(published(server, "by_id.zip", blob_id=None), tmp_path / "by_id.zip")


def test_a_full_disk_is_one_line_and_keeps_what_there_is(server, tmp_path, monkeypatch):
    class Full(io.FileIO):
        def write(self, data):
            if self.tell() + len(data) > 4000:
                super().write(data[: 4000 - self.tell()])
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    part = tmp_path / "val.csv.part"
    opened = type(part).open
    monkeypatch.setattr(
        type(part),
        "open",
        lambda self, mode="r", *a, **k: (
            Full(self, mode) if self == part and "b" in mode else opened(self, mode, *a, **k)
        ),
    )
    with pytest.raises(
        UserError, match=r"no space left in .* after 4000 bytes; free some and run fetch again"
    ) as error:
        download(published(server, "val.csv"), tmp_path / "val.csv")
    assert "\n" not in str(error.value)
    assert len(Server.requests) == 1
    monkeypatch.undo()
    assert part.stat().st_size == 4000
    download(published(server, "val.csv"), tmp_path / "val.csv")
    assert Server.requests[-1] == ("val.csv", "bytes=4000-")
    assert (tmp_path / "val.csv").read_bytes() == CONTENT["val.csv"]


def test_a_proxy_of_the_environment_is_used(server, tmp_path, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server)
    monkeypatch.setattr(urllib.request, "_opener", None)  # it reads the environment once
    file = dataclasses.replace(published(server, "val.csv"), url="http://data.example/val.csv")
    download(file, tmp_path / "val.csv")
    assert (tmp_path / "val.csv").read_bytes() == CONTENT["val.csv"]
