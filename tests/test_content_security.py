"""Every HTML page that we write forbids what it does not need, so that no name in it runs or fetches anything."""

import re
from pathlib import Path

import pytest

PAGES = [
    path
    for path in Path(__file__).parents[1].glob("unimat/**/templates/**/*")
    if path.is_file() and "<html" in path.read_text(encoding="utf-8")
]
OFFLINE = {"'none'", "'unsafe-inline'", "data:", "blob:"}


def test_these_are_the_pages():
    assert {path.name for path in PAGES} == {"data_card.html", "report.html.j2"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_fetches_nothing_and_runs_no_script_but_its_own(path: Path):
    text = path.read_text(encoding="utf-8")
    head = text[text.index("<html") :]
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', head)
    given = {name: set(sources) for name, *sources in (part.split() for part in policy.split(";"))}
    assert given["default-src"] == given["base-uri"] == given["form-action"] == {"'none'"}
    assert set().union(*given.values()) <= OFFLINE
    assert ("script-src" in given) == (path.name == "report.html.j2")
    first = min(head.index(each) for each in ("<style", "<link", "<script") if each in head)
    assert head.index("Content-Security-Policy") < first
