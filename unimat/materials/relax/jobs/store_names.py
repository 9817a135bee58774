"""Names of job stores, as settings, the environment and the command line give them; no package is needed to read them.

A password belongs into the environment alone: settings go into tables, logs and reports.
"""

import os
from urllib.parse import urlsplit

VARIABLE = "UNIMAT_JOB_STORE"
MEMORY, EMBEDDED, JOBFLOW = "memory", "embedded", "jobflow"
SCHEMES = ("mongodb://", "mongodb+srv://")
FILES = (".yaml", ".yml", ".json")


def check_store_name(name: str) -> None:
    """Raise ValueError unless `name` is a store that settings may hold: one without a password."""
    _check_form(name)
    if is_uri(name) and ":" in _user_info(name):
        raise ValueError(
            f"store holds a password for {readable(name)}; put the URI into the environment variable {VARIABLE}, where"
            " no log, table or report shows it"
        )


def chosen_store(name: str) -> str:
    """The store that is used: that of the environment variable, or else `name`.

    Raises:
        ValueError: if the variable's value is no store.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return name
    try:
        _check_form(given)
    except ValueError as error:
        raise ValueError(f"the environment variable {VARIABLE}: {error}") from None
    return given


def is_uri(name: str) -> bool:
    return name.startswith(SCHEMES)


def readable(name: str) -> str:
    """`name` without user, password and options, for people to read: ``host:27017/db`` of a URI."""
    if "://" not in name and "@" not in name:
        return name
    # A password may hold an unescaped slash or question mark; what stands before the last @ is never shown.
    hosts = name.partition("://")[2].rpartition("@")[2] if "://" in name else name.rpartition("@")[2]
    return hosts.partition("?")[0].rstrip("/")


def _check_form(name: str) -> None:
    if name in (MEMORY, EMBEDDED, JOBFLOW) or name.endswith(FILES):
        return
    if not is_uri(name):
        raise ValueError(
            f"store {readable(name)!r} is none of {MEMORY}, {EMBEDDED}, {JOBFLOW}, mongodb://user@host/database, or a"
            " .yaml or .json file that describes a JobStore"
        )
    if "/" not in readable(name):
        raise ValueError(
            f"store: the URI of {readable(name)} names no database; write mongodb://user@host/database, characters"
            " such as / and @ in user and password percent-encoded"
        )


def _user_info(uri: str) -> str:
    """What stands before the last @: nothing, ``user`` or ``user:password``."""
    rest = uri.partition("://")[2]
    return rest.rpartition("@")[0] if "@" in rest else urlsplit(uri).netloc.rpartition("@")[0]
