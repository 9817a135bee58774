"""A file server on this machine, for tests of downloads; the fixture `server` is to be imported as running_server."""

import base64
import hashlib
import http.server
import threading

import pytest

from unimat.materials.datasets.fetching import download as download_module
from unimat.materials.datasets.known import PublishedFile

CONTENT = {f"{split}.csv": f"material_id,cif\n{split}\n".encode() * 5000 for split in ("train", "val", "test")}


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `content` with ranges; `failures` are answered first, `cut` ends one body early."""

    content: dict[str, bytes] = {}  # noqa: RUF012 - reset by the fixture
    failures: list[int] = []  # noqa: RUF012
    requests: list[tuple[str, str | None]] = []  # noqa: RUF012
    cut = 0
    etags = True  # a strong one of the content
    deaf = False  # to If-Range
    hashed = True  # as Google's storage states

    def do_GET(self):
        kind, name = type(self), self.path.rsplit("/", 1)[-1]
        kind.requests.append((name, self.headers["Range"]))
        if kind.failures:
            self.send_error(kind.failures.pop(0))
            return
        body = kind.content[name]
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if self.headers["Range"] else 0
        if self.headers["If-Range"] not in (None, etag) and not kind.deaf:
            start = 0
        beyond = start >= len(body) and start > 0
        self.send_response(416 if beyond else 206 if start else 200)
        if beyond:
            self.send_header("Content-Range", f"bytes */{len(body)}")
        if kind.etags:
            self.send_header("ETag", etag)
        if kind.hashed:
            md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
            self.send_header("x-goog-hash", "crc32c=AAAAAA==")
            self.send_header("x-goog-hash", f"md5={md5}")
        self.send_header("Content-Length", str(max(len(body) - start, 0)))
        self.end_headers()
        end, kind.cut = (kind.cut or len(body)), 0
        self.wfile.write(body[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture(name="server")
def running_server(monkeypatch):
    monkeypatch.delenv("UNIMAT_DATA_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download_module, "RETRY_DELAYS", (0.0, 0.0))
    Server.content, Server.failures, Server.requests, Server.cut = dict(CONTENT), [], [], 0
    Server.etags, Server.deaf, Server.hashed = True, False, True
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def published(url, name, **changes):
    """The file, with its publisher's checksum if it is not told otherwise."""
    return PublishedFile(
        name, "train", f"{url}/{name}", "train", **{"blob_id": blob_id(Server.content[name])} | changes
    )
