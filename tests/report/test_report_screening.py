"""The report's section on screening, from the files that screening and agreement write."""

from pathlib import Path
from typing import Any

import pytest

from tests.materials.screening.test_agreement import AGAIN, FIRST
from tests.materials.stability.judged_set import CHGNET, VASP, judged_set
from unimat import cli
from unimat.report.blocks import Block, Figure, Missing, Table
from unimat.report.run_files import read_run
from unimat.report.sections.screening import parity_figure, screening
from unimat.report.sections.stability import stability

SETTINGS = '{"take": 7, "budget": 1000}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run whose set `best` was chosen from `generated` and judged by another engine."""
    generated = judged_set(tmp_path / "sets/generated", FIRST, CHGNET, generated=10)
    best = tmp_path / "sets/best"
    words = ["screen", "--judged", str(generated), "--settings", SETTINGS, "--relax", '{"engine": "vasp"}']
    assert cli.main([*words, "--out", str(best)]) == 0
    judged_set(best, AGAIN, VASP)
    assert cli.main(["agreement", "--a", str(generated), "--b", str(best), "--out", str(best)]) == 0
    return tmp_path


def tables(blocks: Any) -> dict[str, list[list[str]]]:
    return {each.caption: [list(row) for row in each.rows] for each in blocks if isinstance(each, Table)}


def one_that_begins(found: dict[str, Any], words: str) -> Any:
    return next(value for caption, value in found.items() if caption.startswith(words))


def test_counts_stand_with_their_denominators(folder: Path):
    (section,) = screening(read_run(folder))
    found = tables(section.blocks)
    (chosen,) = one_that_begins(found, "What was chosen")
    assert chosen[:4] == ["best", "generated", "7 of 10 (70.0 %)", "4 of 4 (100 %)"]
    assert chosen[6] == "vasp"
    assert ["best", "beyond the 7 lowest of all", "1 of 10 (10.0 %)"] in one_that_begins(found, "What was left out")
    held = {(row[0], row[1]): row[2:] for row in one_that_begins(found, "How often a verdict held")}
    stable = held["stable by CHGNet (generated)", "stable by VASP (best)"]
    assert stable[0].startswith("1 of 3 (33.3 %) [")
    assert stable[1] == "1"
    assert held["stable by VASP (best)", "stable by CHGNet (generated)"][0].startswith("1 of 2 (50.0 %)")


def test_changed_verdicts_and_the_figure(folder: Path):
    run = read_run(folder)
    (section,) = screening(run)
    rows = one_that_begins(tables(section.blocks), "Verdicts that changed: 3 of 6")
    assert rows[0] == ["d", "Si", "stable", "above", "−0.020", "0.060"]
    (drawn,) = [each for each in section.blocks if isinstance(each, Figure)]
    assert "6 of the 7" not in drawn.caption
    assert "of the 6 of 7 crystals that both judged" in drawn.caption
    assert list(section.figures) == ["screening_best"]
    axes = section.figures["screening_best"].axes[0]
    assert [line.get_label() for line in axes.lines if "held" in str(line.get_label())] == ["held: 3"]
    assert axes.get_ylabel() == "decomposition energy by VASP (best) (eV/atom)"
    assert parity_figure(None, run.sets["best"].agreement or {}, 0.025) is None


def test_a_screened_set_that_is_not_judged_says_so(folder: Path):
    (folder / "sets/best/agreement.json").unlink()
    (section,) = screening(read_run(folder))
    assert [each.text for each in section.blocks if isinstance(each, Missing)] == [
        "best: no second verdict; put it among hull.sets, and `unimat agreement` compares the two."
    ]


def test_a_run_without_screening_has_no_such_section(folder: Path):
    (folder / "sets/best/screen.json").unlink()
    assert screening(read_run(folder)) == []


def test_sets_of_two_engines_share_no_histogram(folder: Path):
    run = read_run(folder)
    assert list(run.sets) == ["generated", "best"]  # the choice comes after what it was made from
    blocks: list[Block] = list(stability(run, run.primary(), 0.5).blocks)
    texts = [getattr(each, "text", "") for each in blocks]
    assert any("“best” is not drawn beside them: its energies are by VASP" in text for text in texts)
    assert not any("“generated” is not drawn" in text for text in texts)
