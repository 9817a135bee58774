"""The data card in a real browser: it is drawn as it is, and what someone smuggles into it neither runs nor fetches."""

from pathlib import Path

import numpy as np
import pytest

from unimat.cli import main
from unimat.crystal_table import Crystal, from_crystals, write

pytestmark = pytest.mark.system("chromium")

PATIENCE = 180_000  # ms; starting a browser on a busy machine takes its time
SMUGGLED = (
    "<script>document.title = 'ran'</script><img src='https://a.example/x.png' onerror=\"document.title = 'ran'\">"
    "<style>@import url('https://a.example/x.css')</style><form action='https://a.example'><button>b</button></form>"
)


@pytest.fixture(scope="module")
def card(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    rng = np.random.default_rng(0)
    crystals = [Crystal(f"c{i}", np.diag(rng.uniform(3, 6, 3)), [14], [[0, 0, 0]]) for i in range(20)]
    write(from_crystals(crystals), folder / "mine.parquet")
    settings = f'{{"name": "custom", "source": "{folder / "mine.parquet"}"}}'
    assert main(["ingest", "--settings", settings, "--out", str(folder / "out")]) == 0
    return folder / "out/card.html"


def seen(browser, path: Path) -> tuple[str, list[str], list[str]]:
    """Title, messages and addresses of a page that is opened."""
    page = browser.new_page()
    logged, requested = [], []
    page.on("console", lambda message: logged.append(message.text))
    page.on("pageerror", lambda error: logged.append(str(error)))
    page.on("requestfinished", lambda asked: requested.append(asked.url))
    page.on("requestfailed", lambda asked: None if asked.failure == "csp" else requested.append(asked.url))
    page.goto(path.as_uri(), timeout=PATIENCE)
    title = page.title()
    page.close()
    return title, logged, [url for url in requested if not url.startswith("data:")]


def test_the_card_needs_nothing_that_its_policy_forbids(browser, card: Path):
    title, logged, requested = seen(browser, card)
    assert title.startswith("Data card")
    assert logged == []
    assert requested == [card.as_uri()]


def test_what_is_smuggled_into_it_does_nothing(browser, card: Path):
    path = card.with_name("smuggled.html")
    path.write_text(card.read_text(encoding="utf-8").replace("</body>", f"{SMUGGLED}</body>"), encoding="utf-8")
    assert "a.example" in path.read_text(encoding="utf-8")
    title, logged, requested = seen(browser, path)
    assert title.startswith("Data card")
    assert requested == [path.as_uri()]
    assert sum("Content Security Policy" in message for message in logged) >= 3  # script, style sheet, picture
