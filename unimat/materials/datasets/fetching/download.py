"""Downloads that resume, retry, and are checked before they get their final name."""

import base64
import contextlib
import email.message
import errno
import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

from unimat.errors import UserError
from unimat.materials.datasets.fetching.checksums import expected, found, matches, md5, refuse_impostors
from unimat.materials.datasets.published.description import PublishedFile
from unimat.progress import progress

log = logging.getLogger("unimat.fetch")
RETRY_DELAYS = (1.0, 4.0, 16.0)  # s, before each attempt after the first
TIMEOUT = 30.0  # s without a byte
_CHUNK = 1 << 16
ELSEWHERE = "run fetch again, or set mirror (or UNIMAT_DATA_DIR) to a folder with the right file"
_GOOGLE_MD5 = re.compile(r"md5=([A-Za-z0-9+/]+=*)")


def download(
    file: PublishedFile, target: Path, delays: tuple[float, ...] | None = None, remedy: str = ELSEWHERE
) -> str:
    """Bring `file` to `target`, by way of `<target>.part`, which a later call goes on with.

    Args:
        delays: seconds to wait before each attempt after the first; None is `RETRY_DELAYS`.
        remedy: what to do about a wrong checksum.

    Returns:
        The checksum that the content was checked against, or "" if neither publisher nor server gives one.

    Raises:
        UserError: if every attempt fails, the publisher refuses, the disk is full, or the content is not the file.
    """
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    server_md5 = _attempts(file, part, RETRY_DELAYS if delays is None else delays)
    try:
        checked = _checked(file, part, server_md5, remedy)
    except UserError:
        _forget(part)
        raise
    part.replace(target)
    _forget(part)
    return checked


def _attempts(file: PublishedFile, part: Path, delays: tuple[float, ...]) -> str | None:
    for delay in (*delays, None):
        try:
            return _continue(file, part)
        except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
            if is_disk_full(error):
                raise UserError(_disk_full(part)) from error
            if delay is None or not _worth_retrying(error):
                raise UserError(_failed(file, error)) from error
            log.warning("%s: %s; trying again in %g s", file.url, error, delay)
            time.sleep(delay)
    raise AssertionError("the last attempt returns or raises")


def is_disk_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _continue(file: PublishedFile, part: Path) -> str | None:
    """Download what `part` lacks; returns the MD5 (base64) that the server states of the whole, if it does."""
    have = part.stat().st_size if part.exists() else 0
    known = _etag(part)
    if have and not (known or file.has_checksum):  # nothing would tell if the two halves were of different files
        have = 0
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(file.url, headers=_range(have, known)), timeout=TIMEOUT
        )
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if total.isdigit() and int(total) != have:
            _forget(part)
            raise OSError(f"the server has {total} bytes and we have {have}; starting over") from error
        return _stated_md5(error.headers)  # nothing beyond what we have: the checksum decides whether that is all
    with response:
        resumed = response.status == 206
        etag = response.headers.get("ETag")
        if resumed and known and etag and etag != known:
            _forget(part)
            raise OSError("the file has changed on the server; starting over")
        _etag_path(part).write_text(etag or "", encoding="utf-8")
        _append(response, part, have if resumed else 0)
        return _stated_md5(response.headers)


def _append(response: http.client.HTTPResponse, part: Path, have: int) -> None:
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else None
    with (
        part.open("ab" if have else "wb") as stream,
        progress(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem) as bar,
    ):
        while chunk := response.read(_CHUNK):
            stream.write(chunk)
            bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise OSError(f"the connection ended after {part.stat().st_size} of {total} bytes")


def _range(have: int, etag: str) -> dict[str, str]:
    if not have:
        return {}
    # Only a strong ETag may stand in If-Range; the server then sends the whole of a file that has changed.
    strong = {"If-Range": etag} if etag and not etag.startswith("W/") else {}
    return {"Range": f"bytes={have}-", **strong}


def _etag_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _etag(part: Path) -> str:
    path = _etag_path(part)
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _forget(part: Path) -> None:
    for path in (part, _etag_path(part)):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _stated_md5(headers: email.message.Message) -> str | None:
    stated = _GOOGLE_MD5.search(",".join(headers.get_all("x-goog-hash") or []))
    return stated.group(1) if stated else None


def _checked(file: PublishedFile, part: Path, server_md5: str | None, remedy: str) -> str:
    name = file.url.rsplit("/", 1)[-1]
    refuse_impostors(part, name, f"look at {file.url}, and at the proxy if there is one; then {ELSEWHERE}")
    if file.has_checksum:
        if not matches(part, file):
            raise UserError(f"{name} from {file.url} has {found(part, file)}, expected {expected(file)}; {remedy}")
        return expected(file)
    if server_md5 is None:
        return ""
    if base64.b64encode(md5(part)).decode() != server_md5:
        raise UserError(f"{name} from {file.url} has not the MD5 that the server states, {server_md5}; {ELSEWHERE}")
    return f"md5 {server_md5} (base64), stated by the server"


def _worth_retrying(error: Exception) -> bool:
    return not (isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500 and error.code not in (408, 429))


def _failed(file: PublishedFile, error: Exception) -> str:
    name = file.url.rsplit("/", 1)[-1]
    return (
        f"{name} could not be downloaded from {file.url} ({error}); without a network, set mirror (or "
        "UNIMAT_DATA_DIR) to a folder that holds it"
    )


def _disk_full(part: Path) -> str:
    size = part.stat().st_size if part.exists() else 0
    return (
        f"no space left in {part.parent} after {size} bytes; free some and run fetch again: it goes on from {part.name}"
    )
