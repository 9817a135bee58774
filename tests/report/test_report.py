"""The report against a run folder whose numbers are known."""

import base64
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure

from tests.report.report_run import write_run
from unimat.cli import main
from unimat.errors import UserError
from unimat.report.headline import as_json, headlines
from unimat.report.page import make_report
from unimat.report.run_files import read_config, read_run
from unimat.report.settings import ReportSettings

RATES = {"rates_by_n_atoms", "rates_by_n_elements"}
VOID = {"meta", "link", "br", "img", "input", "hr"}
HEADLINES = {
    "type": "array",
    "minItems": 4,
    "maxItems": 5,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "value", "unit", "count", "of", "note"],
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "value": {"type": ["number", "null"]},
            "unit": {"enum": ["fraction", "eV/atom"]},
            "count": {"type": ["integer", "null"]},
            "of": {"type": ["integer", "null"]},
            "note": {"type": "string", "minLength": 1},
        },
    },
}


class Page(HTMLParser):
    """Ids, addresses and text of a page; fails on tags that do not close in order."""

    def __init__(self, text: str):
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.labelled: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self._open.append(tag)
        self.handle_startendtag(tag, attributes)

    def handle_startendtag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "xlink:href"):
                self.addresses.append(value)
            if name == "aria-label" and tag == "svg":
                self.labelled.append(value)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("results") / "demo")


@pytest.fixture(scope="module")
def html(run_dir) -> str:
    settings = ReportSettings(command="snakemake -c2", best=4)
    return make_report(read_run(run_dir), settings, run_dir / "report.html", {"run": "demo", "seed": 0}).html


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_numbers_stand_with_their_denominators(page, run_dir):
    stability = pd.read_parquet(run_dir / "sets/generated/stability.parquet")
    near = stability["decomposition_energy"] < 0.025
    assert f"{near.sum()} of 60" in page.text
    new = (near & stability["unique"].eq(True) & stability["novel"].eq(True)).sum()
    assert f"Stable or metastable, unique and novel {new} of 60" in page.text
    for text in (
        "52 of 60",
        "27 of 60 (45.0 %)",
        "4 of 204 (2.0 %)",
        "3 of 204",
        "200: 120 train, 40 val, 40 test",
        "37 of 40",
    ):
        assert text in page.text
    converged = int(stability["converged"].sum())
    assert f"{converged} of 57" in page.text
    assert f"{converged} of 60" in page.text
    assert "412,345 parameters" in page.text
    assert "training 0, sampling of generated 7, bootstrap of generated against test 0" in page.text


def test_what_was_asked_for_stands_beside_what_came_of_it(page):
    for text in (
        "wanted.csv; omega 2",
        "33 of 60 (55.0 %) [42.5, 66.9]",
        "57 of 60 (95.0 %)",
        "31 of 40 (77.5 %)",
        "2 of 20 (10.0 %)",
        "Same elements",
    ):
        assert text in page.text
    assert "Same number of atoms" not in page.text  # not counted in this set


def test_both_modes_stand_with_intervals_and_why_they_differ(page):
    for text in (
        "52 of 60 (86.7 %) [75.8, 93.1]",
        "44 of 60 (73.3 %)",
        "44 of 60 (73.3 %) by the strict ones",
        "0.08 [0.07, 0.09]",
        "valid. Strict looks twice.",
        "5 to 8",
        "31 of 40 (77.5 %)",
        "20 of 21 (95.2 %)",
    ):
        assert text in page.text


def test_energies_name_engine_and_reference(page):
    assert "CHGNet 0.3.0; functional: PBE; corrections: MP2020, as learned" in page.text
    assert "hull “reference” (42 phases)" in page.text
    assert "Dashed: 25 meV/atom, below it metastable" in page.text


def test_page_is_self_contained_and_safe(html, page):
    fetched = [each for each in page.addresses if not each.startswith(("#", "data:", "dataset/"))]
    assert fetched == []
    assert "http://" not in html.replace("http://www.w3.org/", "")
    assert "https://" not in html
    assert not re.search(r"<script[^>]* src|@import|url\(http", html)
    assert "default-src 'none'" in html  # the browser refuses whatever slips through
    assert "Silicon &amp; carbon &lt;demo&gt;" in html
    assert len(html.encode()) < 2_000_000


def test_ids_are_unique_and_every_reference_finds_its_own(html, page):
    assert len(page.ids) == len(set(page.ids))
    wanted = set(re.findall(r"url\(#([^)]+)\)", html)) | {a[1:] for a in page.addresses if a.startswith("#")}
    wanted = {each for each in wanted if not each.startswith("crystal=")}  # the script's addresses of crystals
    assert wanted <= set(page.ids)


def test_every_figure_says_what_it_shows(html, page):
    assert (
        len(page.labelled) == html.count("<svg ") == 1 + 5 + 2 + 2 + 4 + 1
    )  # loss, distributions, rates by size, E_d and hull, crystals, pairs
    assert all(len(label) > 10 for label in page.labelled)
    assert html.count("<caption>") == html.count("<table>")


def test_same_files_give_same_bytes(run_dir, html):
    settings = ReportSettings(command="snakemake -c2", best=4)
    again = make_report(read_run(run_dir), settings, run_dir / "report.html", {"run": "demo", "seed": 0})
    assert again.html == html


def test_headline_values_follow_from_the_files(run_dir):
    found = {each["name"]: each for each in as_json(headlines(read_run(run_dir)))}
    jsonschema.validate(list(found.values()), HEADLINES)
    for each in found.values():
        if each["unit"] == "fraction":
            assert each["value"] == pytest.approx(each["count"] / each["of"])
    pairs = pd.read_parquet(run_dir / "compare/generated_vs_test.parquet")
    delta = found["ΔE_f(generated, test)"]
    assert delta["value"] == pytest.approx(pairs["difference"].mean())
    assert delta["count"] == len(pairs)


def test_best_crystals_are_distinct_lowest_first_and_downloadable(html, page):
    uris = [each for each in page.addresses if each.startswith("data:chemical/x-cif")]
    assert len(uris) == 4
    structures = [Structure.from_str(base64.b64decode(uri.split(",")[1]).decode(), fmt="cif") for uri in uris]
    kinds = [(each.composition.reduced_formula, each.get_space_group_info(0.1)[1]) for each in structures]
    assert len(set(kinds)) == 4
    cards = html[html.index('<ol class="gallery">') : html.index("</ol>")]
    energies = [float(each.replace("−", "-")) for each in re.findall(r"<dd>([+−][\d.]+)\seV/atom</dd>", cards)]
    assert energies == sorted(energies)
    assert len(energies) == 4


def test_missing_parts_are_named(run_dir, tmp_path):
    part = tmp_path / "part"
    shutil.copytree(run_dir, part)
    for name in ("metrics.json", "verdicts.parquet", "stability.parquet", "stability.json"):
        (part / "sets/generated" / name).unlink()
    (part / "model/history.csv").unlink()
    shutil.rmtree(part / "compare")
    report = make_report(read_run(part), ReportSettings(), part / "report.html")
    text = Page(report.html).text
    assert "No loss curve: model/history.csv is not there" in text
    assert "No metrics for the sets generated, test" in text
    assert "No stabilities for: generated" in text
    assert "compare/ is empty" in text
    values = {each["name"]: each["value"] for each in as_json(report.headlines)}
    assert values["Stable or metastable"] is None
    assert values["Valid structure and composition"] is None
    assert values["Relaxed to convergence"] is not None
    jsonschema.validate(as_json(report.headlines), HEADLINES)


def test_a_run_that_only_ingested_still_has_a_page(run_dir, tmp_path):
    shutil.copytree(run_dir / "dataset", tmp_path / "bare/dataset")
    report = make_report(read_run(tmp_path / "bare"), ReportSettings(), tmp_path / "report.html")
    assert "200: 120 train, 40 val, 40 test" in Page(report.html).text
    assert [each.value for each in report.headlines] == [None]


def test_command_line_writes_page_headline_and_figures(run_dir, tmp_path, capsys):
    out = tmp_path / "report.html"
    config = tmp_path / "config.yaml"
    config.write_text('run: demo\nseed: 3\nnote: "`E_d` in 5 %"\n')
    argv = ["report", "--run-dir", str(run_dir), "--out-file", str(out), "--headline", str(tmp_path / "headline.json")]
    argv += [
        "--figures",
        str(tmp_path / "figures"),
        "--config",
        str(config),
        "--settings",
        '{"best": 1, "title": "<b>"}',
    ]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "demo"
    assert len(lines) == 6
    assert all(re.search(r"\d+ of \d+|eV/atom", line) for line in lines[1:])
    jsonschema.validate(json.loads((tmp_path / "headline.json").read_text()), HEADLINES)
    names = {path.stem for path in (tmp_path / "figures").glob("[!.]*")}
    assert names == {"loss", "distributions", "decomposition_energy", "hull", "per_composition", *RATES}
    assert "var(--" not in (tmp_path / "figures/loss.svg").read_text()
    text = out.read_text()
    assert "<title>&lt;b&gt;</title>" in text
    assert "&#34;seed&#34;: 3" in text
    assert "&#34;note&#34;: &#34;`E_d` in 5 %&#34;" in text  # shown as written


def test_bad_input_is_one_line(run_dir, tmp_path, capsys):
    cases = {
        ("--run-dir", str(tmp_path / "nowhere")): "does not exist",
        ("--run-dir", str(tmp_path)): "holds no stage of a run",
        ("--run-dir", str(run_dir), "--settings", '{"bset": 1}'): "unknown key 'bset'",
        ("--run-dir", str(run_dir), "--settings", '{"set": "x"}'): "no set 'x'",
        ("--run-dir", str(run_dir), "--settings", '{"best": -1}'): "best must be 0 or more",
        ("--run-dir", str(run_dir), "--config", str(tmp_path / "no.yaml")): "does not exist",
    }
    for argv, message in cases.items():
        assert main(["report", *argv, "--out-file", str(tmp_path / "report.html")]) == 2
        error = capsys.readouterr().err.strip()
        assert message in error
        assert "\n" not in error
    assert list(tmp_path.iterdir()) == []


def test_truncated_files_are_named(run_dir, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(run_dir, broken)
    path = broken / "sets/generated/stability.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"stability\.parquet is not readable"):
        read_run(broken)
    with pytest.raises(UserError, match="expected a mapping"):
        read_config(_text(tmp_path / "list.yaml", "- 1\n"))


def test_a_system_of_one_element_has_no_hull_figure(run_dir, tmp_path):
    from unimat.materials.stability.references import reference

    unary = tmp_path / "unary"
    shutil.copytree(run_dir, unary)
    found = reference.read(unary / "hull/reference.parquet")
    carbon = [entry for entry in found.entries if entry.composition.reduced_formula == "C"]
    reference.write(reference.Reference("carbon", carbon, found.energy_type), unary / "hull/reference.parquet")
    report = make_report(read_run(unary), ReportSettings(best=0), unary / "report.html")
    assert "hull" not in report.figures
    assert "the reference spans 1 element" in Page(report.html).text


def test_settings_come_without_heavy_imports():
    code = "import sys, unimat.report.settings; print({'matplotlib', 'pymatgen', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def _text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_infinite_and_missing_energies_do_not_stop_the_page(run_dir, tmp_path):
    odd = tmp_path / "odd"
    shutil.copytree(run_dir, odd)
    path = odd / "sets/generated/stability.parquet"
    frame = pd.read_parquet(path)
    frame["decomposition_energy"] = np.where(np.arange(len(frame)) % 2, np.nan, 1e6)
    frame.to_parquet(path, index=False)
    report = make_report(read_run(odd), ReportSettings(best=2), odd / "report.html")
    assert "beyond the right edge" in Page(report.html).text
