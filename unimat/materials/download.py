"""Downloads that resume, retry, and are checked before they get their final name."""

import http.client
import logging
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from unimat.errors import UserError
from unimat.files import git_blob_id

log = logging.getLogger("unimat.fetch")
RETRY_DELAYS = (1.0, 4.0, 16.0)  # s, before each attempt after the first
TIMEOUT = 30.0  # s without a byte
_CHUNK = 1 << 16


def download(url: str, target: Path, blob_id: str, delays: tuple[float, ...] | None = None) -> None:
    """Bring `url` to `target`, by way of `<target>.part`, which a later call goes on with.

    Args:
        blob_id: git blob id that the content must have.
        delays: seconds to wait before each attempt after the first; None is `RETRY_DELAYS`.

    Raises:
        UserError: if every attempt fails, the publisher refuses, or the content has another checksum.
    """
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    for delay in (*(RETRY_DELAYS if delays is None else delays), None):
        try:
            _continue(url, part)
            break
        except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
            if delay is None or not _worth_retrying(error):
                raise UserError(_failed(url, target, error)) from error
            log.warning("%s: %s; trying again in %g s", url, error, delay)
            time.sleep(delay)
    found = git_blob_id(part)
    if found != blob_id:
        part.unlink()
        raise UserError(
            f"{target.name} from {url} has git blob id {found}, expected {blob_id}; run fetch again, or set mirror "
            "(or UNIMAT_DATA_DIR) to a folder with the right file"
        )
    part.replace(target)


def _continue(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing beyond what we have: the checksum decides whether that is all
            return
        raise
    with response:
        resumed = response.status == 206
        length = response.headers.get("Content-Length")
        total = int(length) + (have if resumed else 0) if length else None
        with (
            part.open("ab" if resumed else "wb") as stream,
            tqdm(
                total=total, initial=have if resumed else 0, unit="B", unit_scale=True, desc=part.stem, disable=None
            ) as bar,
        ):
            while chunk := response.read(_CHUNK):
                stream.write(chunk)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise OSError(f"the connection ended after {part.stat().st_size} of {total} bytes")


def _worth_retrying(error: Exception) -> bool:
    return not (isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500 and error.code not in (408, 429))


def _failed(url: str, target: Path, error: Exception) -> str:
    return (
        f"{target.name} could not be downloaded from {url} ({error}); without a network, set mirror (or "
        "UNIMAT_DATA_DIR) to a folder that holds it"
    )
