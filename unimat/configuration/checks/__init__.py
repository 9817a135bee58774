"""What no schema can say of a configuration: names that lead nowhere, files that are not there, requests in vain."""

from collections.abc import Iterator

from unimat.configuration.checks import by_set, data, files, models, names, requests, searches
from unimat.configuration.configuration import Configuration


def mistakes(configuration: Configuration) -> Iterator[str]:
    """One line for each mistake; nothing is run, and of files only heads are read."""
    yield from names.mistakes(configuration)
    yield from by_set.mistakes(configuration)
    yield from models.mistakes(configuration)
    yield from data.mistakes(configuration)
    yield from requests.mistakes(configuration)
    yield from searches.mistakes(configuration)
    yield from files.mistakes(configuration)
