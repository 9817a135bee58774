"""Documents of finished jobs on their way into the configured store.

A crystal's result is in the journal of `unimat relax`, whatever becomes of the store: jobs run in memory, and what the
store does not take waits in a file in the work folder.
"""

import contextlib
import logging
import time
from pathlib import Path
from typing import Any

from bson import json_util

from unimat.checked_lines import sealed, text_of
from unimat.files import write_text
from unimat.materials.relax.jobs.store import OpenStore

log = logging.getLogger("unimat.relax")

RETRY_AFTER = 60.0  # seconds for which a store that failed is left alone, lest each job wait for its timeout


class JobRecorder:
    """Sends documents to a store, and keeps in a file what it does not take.

    Args:
        unsent: that file; what an earlier run left there is sent first.
    """

    def __init__(self, store: OpenStore, unsent: Path):
        self.store = store
        self.unsent = unsent
        self.not_before = self.again_at = 0.0
        self._send_again()

    def keep(self, documents: dict[str, Any]) -> None:
        """Send the documents of a job or flow, as `jobs.documents_of` has them; never raises for the store's sake.

        Raises:
            OSError: if the file of unsent documents cannot be written.
        """
        if time.monotonic() >= self.not_before:
            if self._sent(documents):
                self._send_again()
                return
            self.not_before = time.monotonic() + RETRY_AFTER
        with self.unsent.open("a", encoding="utf-8") as stream:
            stream.write(sealed(json_util.dumps(documents)))

    def close(self) -> None:
        """Send what waits once more, and say what is left."""
        self.again_at = 0.0
        self._send_again()
        if self.unsent.exists():
            n = len(self.unsent.read_bytes().splitlines())
            log.warning(
                "the job store %s has not taken the documents of %d jobs; they wait in %s for the next run, and the"
                " results are in the journal all the same", self.store.where, n, self.unsent,
            )  # fmt: skip
        with contextlib.suppress(Exception):  # of a driver; there is nothing left to lose
            self.store.jobs.close()

    def _sent(self, documents: dict[str, Any]) -> bool:
        try:
            # The large objects first: a document that is there has all of its parts.
            for name, blobs in documents["blobs"].items():
                self.store.jobs.additional_stores[name].update(blobs, key="blob_uuid")
            self.store.jobs.docs_store.update(documents["docs"], key=["uuid", "index"])
        except Exception as error:  # whatever a driver raises; its text may hold a password
            log.warning("the job store %s failed (%s); tried again later", self.store.where, type(error).__name__)
            return False
        return True

    def _send_again(self) -> None:
        if time.monotonic() < self.again_at or not self.unsent.exists():
            return
        waiting = self.unsent.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        while waiting:
            documents = _parsed(waiting[0])
            if documents and not self._sent(documents):
                # To the end, so that one that the store will never take does not hold up the others.
                waiting = [*waiting[1:], waiting[0]]
                self.again_at = time.monotonic() + RETRY_AFTER
                break
            waiting.pop(0)
        if waiting:
            write_text(self.unsent, "".join(waiting))
        else:
            self.unsent.unlink()


def _parsed(line: str) -> dict[str, Any] | None:
    """None of a line that a crash cut short, or that is not what was written."""
    text = text_of(line.encode())
    if text is None:
        log.warning("an unfinished or broken line of unsent documents is dropped")
        return None
    return json_util.loads(text)
