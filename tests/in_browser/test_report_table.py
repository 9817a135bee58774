"""The table of crystals and its 3D view in a real browser, by mouse and by keyboard, from disk and offline."""

import io
import json
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pymatgen.core import Structure

from unimat import crystal_table
from unimat.materials.crystals.structures import to_structure
from unimat.report.crystal_rows import VERDICTS, crystal_rows
from unimat.report.run_files import read_run

pytestmark = pytest.mark.system("chromium")

PATIENCE = 60_000  # ms
TABLE, VIEW = "#crystal-list", "#crystal-view"


@pytest.fixture(scope="module")
def rows(run_dir) -> pd.DataFrame:
    return crystal_rows(read_run(run_dir).sets["generated"])


@pytest.fixture
def opened(browser, page_file):
    """The page from disk without a network; whatever it logs fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda asked: problems.append(asked.url) if asked.url.startswith("http") else None)
    go(page, page_file)
    yield page
    context.close()
    assert problems == []


def go(page, page_file: Path, address: str = "") -> None:
    page.goto(page_file.as_uri() + address)
    page.locator(f"{TABLE}[data-ready]").wait_for(state="attached")


def column(page, index: int) -> list[str]:
    cells = page.locator(f"{TABLE} tbody tr").all()
    return [cell.locator("th, td").nth(index).inner_text().replace("−", "-") for cell in cells]


def ids(page) -> list[str]:
    return column(page, 10)


def status(page) -> str:
    return page.locator(f"{TABLE} [role=status]").inner_text()


def drawn(page, panel: int) -> None:
    page.locator(f"{VIEW} .panel:nth-of-type({panel}) .view[data-drawn]").wait_for()


def inked(page, panel: int) -> float:
    """Share of the pixels of a view that are not its ground."""
    picture = page.locator(f"{VIEW} .panel:nth-of-type({panel}) .view").screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), int)[8:-8, 8:-8]
    return float((np.abs(pixels - pixels[0, 0]).max(axis=2) > 25).mean())


def test_every_crystal_is_listed_with_its_verdict(opened, rows):
    assert status(opened) == f"1 to 50 of {len(rows)} crystals"
    assert ids(opened) == rows["material_id"].tolist()[:50]
    opened.get_by_label("Next page").click()
    assert ids(opened) == rows["material_id"].tolist()[50:]
    rejected = opened.locator(f"{TABLE} tr.rejected")
    assert rejected.count() == 3
    assert "no_atoms: empty" in rejected.first.inner_text()
    failed = opened.locator(f"{TABLE} tr.relaxation-failed")
    assert failed.count() == (rows["verdict"] == "relaxation failed").sum()
    assert "exploded" in failed.first.inner_text()


def test_headings_sort_by_mouse_and_keyboard_and_say_so(opened, rows):
    heading = opened.locator(TABLE).get_by_role("columnheader", name=re.compile("Atoms"))
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    atoms = [int(each) for each in column(opened, 1)]
    assert atoms == sorted(rows["n_atoms"].dropna().astype(int))[:50]
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert [int(each) for each in column(opened, 1)] == sorted(rows["n_atoms"].dropna().astype(int))[::-1][:50]
    opened.locator(TABLE).get_by_role("columnheader", name=re.compile("Formula")).get_by_role("button").click()
    assert heading.get_attribute("aria-sort") is None
    assert column(opened, 0) == sorted(column(opened, 0))


def test_missing_energies_come_last_in_both_directions(opened, rows):
    heading = opened.locator(TABLE).get_by_role("columnheader", name=re.compile(r"E\s*d"))
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").click()
    found = [float(each) for each in column(opened, 8) if each != "–"]
    assert found == sorted(found, reverse=True)
    assert len(found) == min(50, rows["decomposition_energy"].notna().sum())


def test_filters_by_text_element_verdict_flag_and_range(opened, rows):
    form = opened.locator(f"{TABLE} form")
    form.locator("[name=text]").fill("GEN-0007")
    assert ids(opened) == ["gen-0007"]
    assert status(opened) == f"1 to 1 of 1 crystals, chosen from {len(rows)}"
    form.locator("[name=text]").fill("exploded")
    assert len(ids(opened)) == (rows["verdict"] == "relaxation failed").sum()
    form.get_by_role("button", name="Clear").click()
    form.locator("[name=contains]").fill("Si -C")
    assert set(column(opened, 0)) == {"Si"}
    form.locator("[name=contains]").fill("si only")
    assert set(column(opened, 0)) == {"Si"}
    form.locator("[name=contains]").fill("Si C")
    assert set(column(opened, 0)) == {"SiC", "Si3C", "SiC3"}
    form.get_by_role("button", name="Clear").click()
    form.locator("[name=verdict]").select_option(index=1)
    verdict = next(each for each in VERDICTS if (rows["verdict"] == each).any())
    assert all(each.startswith(verdict) for each in column(opened, 9))
    assert len(ids(opened)) == (rows["verdict"] == verdict).sum()
    form.get_by_role("button", name="Clear").click()
    form.locator("[name=flag]").select_option("0valid")
    assert len(ids(opened)) == (~rows["valid"].dropna().astype(bool)).sum()
    form.get_by_role("button", name="Clear").click()
    form.locator("[name=low]").fill("0.1")
    form.locator("[name=high]").fill("0.3")
    between = rows["decomposition_energy"].round(4).between(0.1, 0.3)
    assert ids(opened) == rows["material_id"][between].tolist()
    form.locator("[name=text]").fill("no such crystal")
    assert status(opened) == f"0 crystals, chosen from {len(rows)}"


def test_novel_near_the_hull_means_novel_after_relaxation(opened, rows, run_dir):
    """The run's files say otherwise of the crystals as generated, and no filter may join the two."""
    form = opened.locator(f"{TABLE} form")
    verdicts = pd.read_parquet(run_dir / "sets/generated/verdicts.parquet").set_index("material_id")
    stability = pd.read_parquet(run_dir / "sets/generated/stability.parquet").set_index("material_id")
    of_verdict = stability.index[stability["metastable"]]
    after = {name for name in of_verdict if stability["novel"][name] == True}  # noqa: E712 - null is not novel
    before = {name for name in of_verdict if verdicts["novel"][name]}
    form.locator("[name=verdict]").select_option(label=f"metastable ({len(of_verdict)})")
    form.locator("[name=flag]").select_option("1novel")
    assert set(ids(opened)) == after
    assert after != before
    form.get_by_role("button", name="Clear").click()
    assert "as relaxed" in opened.locator(f"{TABLE} caption").inner_text()


def test_a_window_tells_of_the_state_that_is_drawn(opened, rows):
    row = rows[rows["verdict"] == "above the hull"].iloc[0]
    opened.locator(f"{TABLE} [name=text]").fill(row["material_id"])
    opened.locator(f"{TABLE} tbody tr").click()
    facts = opened.locator(f"{VIEW} .panel:nth-of-type(1) dl")
    for state, ending in (("relaxed", ""), ("sampled", "_generated")):
        opened.locator(f"{VIEW} [name=state]").select_option(state)
        told = {True: "yes", False: "no"}.get(row[f"novel{ending}"], "–")
        facts.locator("div", has_text="Novel").get_by_text(told, exact=True).wait_for()
        assert f"{row[f'density{ending}']:.3f} g/cm³" in facts.inner_text()


def test_arrow_keys_walk_the_rows_and_enter_opens_one(opened, rows):
    order = rows["material_id"].tolist()
    opened.locator(f"{TABLE} .open").first.focus()
    for _ in range(2):
        opened.keyboard.press("ArrowDown")
    outline = opened.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    opened.keyboard.press("End")
    opened.keyboard.press("ArrowDown")  # on to the next page
    assert "page 2 of 2" in opened.locator(".pager").inner_text()
    opened.keyboard.press("ArrowUp")
    opened.keyboard.press("Home")
    opened.keyboard.press("ArrowDown")
    opened.keyboard.press("Enter")
    title = opened.locator("#crystal-title")
    assert order[1] in title.inner_text()
    opened.keyboard.press("ArrowRight")
    opened.locator("#crystal-title", has_text=order[2]).wait_for()
    opened.keyboard.press("Escape")
    opened.locator(f"{TABLE} tr:has(:focus)", has_text=order[2]).wait_for()
    assert opened.locator(VIEW).is_hidden()


def test_a_crystal_is_drawn_beside_the_test_crystal(opened, rows):
    row = rows[(rows["formula"] == "SiC") & (rows["verdict"] == "above the hull")].iloc[0]
    opened.locator(f"{TABLE} [name=text]").fill(row["material_id"])
    opened.locator(f"{TABLE} tbody tr").click()
    for panel in (1, 2):
        drawn(opened, panel)
        assert inked(opened, panel) > 0.01
    text = opened.locator(VIEW).inner_text()
    assert f"{row['decomposition_energy']:+.4f} eV/atom" in text
    assert "lowest of" in text
    for phase in row["products"]:
        assert f"{100 * phase['amount']:.1f} % of the atoms" in text
        assert phase["entry_id"] in text
    view = opened.locator(f"{VIEW} .view").first
    before = view.screenshot()
    view.focus()
    opened.keyboard.press("ArrowLeft")
    assert view.screenshot() != before
    assert row["material_id"] in opened.locator("#crystal-title").inner_text()  # the key turned it and did nothing else


def test_cif_downloads_and_holds_the_crystal_of_the_table(opened, rows, run_dir, tmp_path):
    row = rows[rows["verdict"] == "above the hull"].iloc[3]
    opened.locator(f"{TABLE} [name=text]").fill(row["material_id"])
    opened.locator(f"{TABLE} tbody tr").click()
    for state, name in (("relaxed", "relaxed"), ("sampled", "crystals")):
        opened.locator(f"{VIEW} [name=state]").select_option(state)
        link = opened.locator(f"{VIEW} .panel:nth-of-type(1) a.cif[download$='_{state}.cif']")
        with opened.expect_download() as download:
            link.click()
        path = tmp_path / f"{state}.cif"
        download.value.save_as(path)
        table = crystal_table.read(run_dir / f"sets/generated/{name}.parquet")
        expected = to_structure(table[table.material_ids.index(row["material_id"])])
        found = Structure.from_file(path)
        assert found.composition == expected.composition
        np.testing.assert_allclose(found.lattice.parameters, expected.lattice.parameters, atol=2e-5)
        shift = found.frac_coords - expected.frac_coords
        np.testing.assert_allclose(shift - np.round(shift), 0, atol=1e-5)
        assert unquote(link.get_attribute("href")).count("data_") == 1


def test_atoms_are_drawn_from_minus_a_tenth_to_eleven_tenths(opened, rows):
    """Rock salt of eight atoms: corners eight times, edges four, faces twice; 27 sites."""
    row = rows[(rows["formula"] == "SiC") & (rows["n_atoms"] == 8)].iloc[0]
    opened.locator(f"{TABLE} [name=text]").fill(row["material_id"])
    opened.locator(f"{TABLE} tbody tr").click()
    drawn(opened, 1)
    assert opened.locator(f"{VIEW} .view").first.get_attribute("data-drawn") == "27"


def test_an_address_opens_its_crystal(opened, page_file, rows):
    name = rows["material_id"].iloc[7]
    go(opened, page_file, f"#crystal={name}")
    opened.reload()
    opened.locator("#crystal-title", has_text=name).wait_for()
    drawn(opened, 1)
    opened.keyboard.press("Escape")
    link = opened.locator(".gallery a[href^='#crystal=']").first
    best = link.get_attribute("href").removeprefix("#crystal=")
    link.click()
    opened.locator("#crystal-title", has_text=best).wait_for()
    opened.keyboard.press("Escape")  # before it is drawn
    opened.locator(f"{TABLE} tr:has(:focus)", has_text=best).wait_for()
    opened.wait_for_timeout(500)  # whatever draws into a closed view would log by now


def test_a_rejected_crystal_opens_without_a_picture(opened, rows):
    opened.locator(f"{TABLE} [name=text]").fill("gen-90")
    opened.locator(f"{TABLE} tbody tr").click()
    opened.locator("#crystal-title", has_text="No crystal").wait_for()
    assert opened.locator(f"{VIEW} .panel:visible").count() == 0
    assert "rejected: no_atoms: empty" in opened.locator(VIEW).inner_text()


def test_without_webgl_a_flat_picture_says_why(browser, page_file):
    page = browser.new_page()
    page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        "  return kind.startsWith('webgl') ? null : get.call(this, kind, ...rest); };"
    )
    go(page, page_file)
    page.locator(f"{TABLE} tbody tr").first.click()
    page.locator(f"{VIEW} .flat svg").first.wait_for()
    assert "no WebGL" in page.locator(f"{VIEW} .no-webgl").first.inner_text()
    assert inked(page, 1) > 0.01
    page.close()


def test_print_shows_the_rows_and_not_the_tools(opened):
    opened.locator(f"{TABLE} [name=contains]").fill("Si only")
    listed = len(ids(opened))
    opened.emulate_media(media="print")
    assert opened.locator(f"{TABLE} .filters").is_hidden()
    assert opened.locator(f"{TABLE} .pager").is_hidden()
    assert opened.locator(f"{TABLE} tbody tr").count() == listed
    assert opened.locator(f"{TABLE} [role=status]").is_visible()
    assert len(opened.pdf()) > 10_000
    opened.emulate_media(media="screen")


def test_print_with_a_crystal_open_shows_that_crystal_alone(opened):
    opened.locator(f"{TABLE} tbody tr").first.click()
    drawn(opened, 1)
    opened.emulate_media(media="print")
    assert opened.locator(TABLE).is_hidden()
    assert opened.locator(f"{VIEW} .flat svg").first.is_visible()
    assert opened.locator("#crystal-title").is_visible()


def test_nothing_sticks_out_of_a_narrow_screen(browser, page_file):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    go(page, page_file)
    page.locator(f"{TABLE} tbody tr").first.click()
    page.locator(f"{VIEW} .view[data-drawn]").first.wait_for(timeout=PATIENCE)
    sizes = json.loads(page.evaluate(
        "JSON.stringify([innerWidth, document.documentElement.scrollWidth,"
        " ...(d => [d.clientWidth, d.scrollWidth])(document.getElementById('crystal-view'))])"
    ))  # fmt: skip
    assert sizes[1] <= sizes[0]
    assert sizes[3] <= sizes[2]
    page.close()
