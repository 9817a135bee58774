"""Sections of the report: the paper's values, rates by size, failures, cost, distributions; and with pieces missing."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from tests.report.report_run import N_GENERATED, write_run
from unimat import crystal_table
from unimat.crystal_table import Rejected
from unimat.files import read_json, write_json
from unimat.report.blocks import Missing, Section, Table
from unimat.report.elements import element_shares, elements_figure
from unimat.report.page import make_report
from unimat.report.published_figures import DIFFERENCES, PROXIES, STABILITIES
from unimat.report.quantities import Share
from unimat.report.rates_figure import Point, rates_figure
from unimat.report.run_files import read_run
from unimat.report.sections.beside_paper import beside_paper
from unimat.report.sections.browser import browser
from unimat.report.sections.cost import cost, duration
from unimat.report.sections.distributions import distributions
from unimat.report.sections.failures import failures
from unimat.report.sections.sizes import judged, sizes
from unimat.report.settings import ReportSettings
from unimat.report.stages import read_jobs

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("results") / "demo")


@pytest.fixture(scope="module")
def run(run_dir):
    return read_run(run_dir)


def tables(section: Section) -> list[Table]:
    return [block for block in section.blocks if isinstance(block, Table)]


def missing(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Missing))


def as_mp_20(run):
    """The run, said to be of MP-20; its comparison is with the test split and not of a conditional set."""
    generated = run.sets["generated"]
    sampling = {key: value for key, value in generated.sampling.items() if key != "obeyed"}
    test = run.sets["test"]
    split = dataclasses.replace(test, crystals=test.crystals.with_metadata(split="test"))
    sets = {"generated": dataclasses.replace(generated, sampling=sampling), "test": split}
    return dataclasses.replace(run, card={**run.card, "name": "mp_20", "complete": False}, sets=sets)


def test_values_of_the_paper_are_those_printed():
    # Copied from the tables of arXiv:2311.09235, in percent and eV/atom.
    unimat = PROXIES["mp_20"]["UniMat"]
    assert (unimat.structure_valid, unimat.composition_valid) == (0.972, 0.894)
    assert (unimat.cov_recall, unimat.cov_precision) == (0.998, 0.997)
    assert (unimat.density, unimat.energy, unimat.n_elements) == (0.088, 0.034, 0.056)
    assert (unimat.amsd_recall, unimat.amcd_recall) == (0.097, 2.41)
    assert (unimat.amsd_precision, unimat.amcd_precision) == (0.119, 2.41)
    assert PROXIES["perov_5"]["CDVAE"].amcd_precision == 1.27
    assert PROXIES["carbon_24"]["UniMat"].cov_precision == 0.965
    assert "Language model" not in PROXIES["carbon_24"]
    found = [(each.delta_e_form, each.reduction_rate) for each in DIFFERENCES["mp_20"]]
    assert found == [(0.279, 0.083), (0.061, 0.254), (-0.216, 0.863)]
    assert dataclasses.astuple(STABILITIES["mp_20"]["UniMat"]) == (414, 2157, 32)


def test_the_papers_values_stand_beside_its_own_datasets_only(run):
    assert beside_paper(run) == []
    (section,) = beside_paper(as_mp_20(run))
    one, five, two, three = tables(section)
    papers = ["CDVAE, paper", "Language model, paper", "UniMat, paper"]
    assert [row[0] for row in one.rows] == [*papers, "generated, this run"]
    ours = one.rows[-1]
    assert ours[1].startswith("55 of 60")
    assert ours[3].startswith("37 of 40")
    assert one.rows[0][-1] == "1.432"  # as the paper prints it
    assert five.rows[-1][five.columns.index("AMSD-R")] == "0.08"
    assert [row[0] for row in five.rows] == ["CDVAE, paper", "UniMat, paper", "generated, this run"]
    assert two.rows[-1][0] == "generated, test, this run"
    assert two.rows[1][:3] == ["UniMat, MP-20 test, paper", "+0.061", "25.4 %"]
    assert three.rows[-1][2] == str(N_GENERATED)
    told = " ".join(text for _, text in section.blocks[-1].items)
    for words in ("CHGNet 0.3.0", "200,000 steps of 512", "July 2021", "not complete", "3,000 steps of 64"):
        assert words in told


def test_a_conditional_set_is_not_put_beside_the_paper(run):
    mp_20 = as_mp_20(run)
    conditional = dataclasses.replace(mp_20, sets=run.sets)
    (section,) = beside_paper(conditional)
    assert tables(section) == []
    assert "no unconditional sampled set" in missing(section)


def test_carbon_has_no_rows_for_tables_2_and_3(run):
    mp_20 = as_mp_20(run)
    (section,) = beside_paper(dataclasses.replace(mp_20, card={"name": "carbon_24"}))
    assert len(tables(section)) == 2
    assert tables(section)[0].rows[0][2] == "–"  # carbon has no compositions to be valid


def test_rates_by_size_count_what_the_tables_say(run):
    found = judged(run.sets["generated"])
    assert len(found) == 60
    assert found["valid"].sum() == run.sets["generated"].verdicts["valid"].sum()
    stability = run.sets["generated"].stability
    near = stability["decomposition_energy"] < 0.025
    assert found["sun"].sum() == (near & stability["unique"].fillna(False) & stability["novel"].fillna(False)).sum()
    section = sizes(run, run.sets["generated"])
    assert set(section.figures) == {"rates_by_n_atoms", "rates_by_n_elements"}


def test_sampled_sets_that_differ_make_a_figure(run):
    one = run.sets["generated"]
    settings = one.sampling["settings"] | {"steps": 256, "guidance": 0.0}
    other = dataclasses.replace(one, name="guided", sampling={"settings": settings | {"guidance": 2.0}})
    plain = dataclasses.replace(one, sampling={"settings": settings})
    section = sizes(dataclasses.replace(run, sets={"generated": plain, "guided": other}), plain)
    assert "rates_by_guidance" in section.figures
    assert "rates_by_steps" not in section.figures


def test_rates_are_drawn_where_they_are():
    curves = {"valid": [Point(0, "1–4", Share(3, 4)), Point(2, "9–12", Share(0, 5))]}
    axes = rates_figure(curves, "atoms").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1–4", "9–12"]
    np.testing.assert_allclose(axes.containers[0][0].get_ydata(), [75, 0])


def test_shares_of_elements_by_hand():
    rows = [crystal_table.Crystal(f"{i}", np.eye(3) * 5, np.array(z), np.zeros((len(z), 3)))
            for i, z in enumerate(([8, 8, 14], [8], [3, 3]))]  # fmt: skip
    shares = element_shares(crystal_table.from_crystals(rows))
    assert shares == {"Li": 1 / 3, "O": 2 / 3, "Si": 1 / 3}
    axes = elements_figure({"ours": shares, "test": {"O": 0.5}}, "test").axes[0]
    assert sum(text.get_text() in ("Li", "O", "Si") for text in axes.texts) == 3
    assert len([text for text in axes.texts if text.get_text().isalpha() and len(text.get_text()) <= 2]) == 118


def test_failures_are_counted_by_kind(run):
    (table,) = tables(failures(run, run.sets["generated"]))
    rows = {(stage, reason): count for stage, reason, count in table.rows}
    assert rows["no crystal", "no_atoms: empty"] == "3 of 60 (5.0 %)"
    assert rows["relaxation failed", "exploded: cell of row …"] == "3 of 60 (5.0 %)"
    bare = dataclasses.replace(run.sets["generated"], relaxed=None, stability=None)
    assert "relaxation failed; no place against the hull" in missing(failures(run, bare))


def test_time_of_the_stages_is_summed(run, tmp_path):
    write(tmp_path / "train/demo.tsv", "133.75\t0:02:13\t1054.63\t1\t1\t1\t2\t3\t128\t172.95\n")
    write(tmp_path / "relax/demo/generated/1-of-2.tsv", "100\t0:01:40\t800\t1\t1\t1\t2\t3\t90\t90\n")
    write(tmp_path / "relax/demo/generated/2-of-2.tsv", "50\t0:00:50\t900\t1\t1\t1\t2\t3\t90\tNA\n")
    write(tmp_path / "relax/other/generated/2-of-2.tsv", "50\t0:00:50\t900\t1\t1\t1\t2\t3\t90\tNA\n")
    write(tmp_path / "report/demo.tsv", "50\t0:00:50\t900\t1\t1\t1\t2\t3\t90\t1\n")
    (tmp_path / "hull/demo").mkdir(parents=True)
    (tmp_path / "hull/demo/generated.tsv").write_text("")
    jobs, broken = read_jobs(tmp_path, "demo")
    assert broken == ["hull/demo/generated.tsv"]
    section = cost(run, jobs, broken)
    rows = {row[0]: row[1:] for row in tables(section)[0].rows}
    assert rows["relax"] == ["2", "2 min 30 s", "1 min 40 s (generated/1-of-2)", "1 min 30 s (of 1 of 2 jobs)", "900"]
    assert rows["train"] == ["1", "2 min 14 s", "2 min 14 s", "2 min 53 s", "1,055"]
    assert rows["all"][:2] == ["3", "4 min 44 s"]
    assert "hull/demo/generated.tsv" in missing(section)
    assert "not measured" in " ".join(block.text for block in section.blocks if block.kind == "text")


def test_durations_are_read_at_a_glance():
    told = {
        0.04: "0.0 s",
        59.94: "59.9 s",
        60: "1 min 00 s",
        3599: "59 min 59 s",
        3600: "1 h 00 min",
        7326: "2 h 02 min",
    }
    assert {value: duration(value) for value in told} == told


def write(path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + line)


def test_no_benchmarks_are_named(run, tmp_path):
    assert "no folder of benchmarks was given" in missing(cost(run, None, []))
    assert "none there is of demo" in missing(cost(run, *read_jobs(tmp_path, "demo")))


def test_an_empty_set_is_named_and_the_rest_rendered(run_dir, tmp_path):
    folder = tmp_path / "empty"
    shutil.copytree(run_dir, folder)
    place = folder / "sets/generated"
    nothing = crystal_table.read(place / "crystals.parquet").take([])
    for name in (
        "verdicts.parquet",
        "stability.parquet",
        "stability.json",
        "relaxed.parquet",
        "relaxed.json",
        "metrics.json",
    ):
        (place / name).unlink()
    crystal_table.write(nothing.with_metadata(n_requested=0), place / "crystals.parquet")
    crystal_table.write_rejected([], place / "rejected.parquet")
    run = read_run(folder)
    assert "the set generated is empty" in missing(browser(run, run.sets["generated"], 10))
    html = make_report(run, ReportSettings(), folder / "report.html").html
    assert "is empty" in html
    assert "Decomposition energy" in html  # of the test set
    crystal_table.write_rejected([Rejected("a", "sample", "no_atoms", "")], place / "rejected.parquet")
    make_report(read_run(folder), ReportSettings(), folder / "report.html")


@pytest.mark.slow
def test_every_file_may_be_missing(run_dir, tmp_path):
    """Each file of the run in turn: the page is made without it."""
    paths = sorted(path.relative_to(run_dir) for path in run_dir.rglob("*") if path.is_file())
    for index, path in enumerate(paths):
        folder = tmp_path / f"{index}"
        shutil.copytree(run_dir, folder)
        (folder / path).unlink()
        run = read_run(folder)
        report = make_report(run, ReportSettings(best=0), folder / "report.html")
        assert len(report.headlines) == 5, path
        shutil.rmtree(folder)


def test_energies_that_are_no_numbers_leave_the_page_whole(run_dir, tmp_path):
    folder = tmp_path / "nan"
    shutil.copytree(run_dir, folder)
    path = folder / "sets/generated/stability.parquet"
    frame = pd.read_parquet(path)
    frame[["decomposition_energy", "e_form_per_atom", "e_above_hull"]] = np.nan
    frame.to_parquet(path, index=False)
    comparison = folder / "compare/generated_vs_test.json"
    numbers = read_json(comparison) | {"n_pairs": 0, "n_compositions": 0}
    numbers["delta_e_form"] = {"value": None, "low": None, "high": None}
    write_json(comparison, numbers)
    pd.read_parquet(comparison.with_suffix(".parquet")).head(0).to_parquet(comparison.with_suffix(".parquet"))
    html = make_report(read_run(folder), ReportSettings(), folder / "report.html").html
    assert "no two converged crystals of one composition" in html
    assert "no crystal of the set generated converged with an E" in html.replace("<i>", "").replace("</i>", "")


def test_a_table_of_no_rows_or_some_is_as_asked(run):
    one = run.sets["generated"]
    assert "report.crystals is 0" in missing(browser(run, one, 0))
    (block,) = browser(run, one, 7).blocks
    assert block.caption == "7 of 60 crystals of the set “generated”, as relaxed"
    assert "sets/ is empty" in missing(browser(run, None, 7))


def test_distributions_have_energies_where_the_test_split_was_relaxed(run):
    section = distributions(as_mp_20(run), run.sets["generated"])
    captions = [block.caption for block in section.blocks if block.kind == "figure"]
    assert sum("Formation energy of the converged crystals" in each for each in captions) == 1
    assert not any("No test crystal was relaxed" in each for each in captions)
    section = distributions(run, run.sets["generated"])
    captions = [block.caption for block in section.blocks if block.kind == "figure"]
    assert any("No test crystal was relaxed" in each for each in captions)
