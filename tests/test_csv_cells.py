"""No text that we write as CSV is a formula to a spreadsheet, and our own readers get it back."""

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unimat import crystal_table, csv_cells
from unimat.cli import main
from unimat.crystal_table import Crystal
from unimat.materials.datasets.ingest import read_crystals
from unimat.materials.datasets.settings import ConvertSettings, PropertyColumn

ROOT = Path(__file__).parents[1]
# What OWASP's page on CSV injection names.
EVIL = ["=1+1", "@SUM(A1)", "+1", "-1+1", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("http://a.example","b")']
IDS = [*EVIL, "'=1", "''=1'", "'=1'", "-42m'", "mp-1", "007"]
LATTICE = [[3.0, 0, 0], [0, 3.1, 0], [0, 0, 3.2]]


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet computes a cell; numbers are no formulas."""
    try:
        float(cell)
    except ValueError:
        return cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))
    return False


@given(st.text(alphabet="'=+-@\t\r\n＝a1;\"", max_size=8))
@example("'='")
@example("'=1'")
def test_every_text_comes_back_and_none_is_a_formula(text: str):
    found = csv_cells.written(text)
    assert csv_cells.read(found) == text
    assert not found.startswith(tuple("=+-@\t\r\n＝＋－＠"))


def test_text_of_others_in_apostrophes_and_numbers_stay_as_they_are():
    for text in ("'-42m'", "'mp-1", "mp-1", "'", "", "-1.5e3"):
        assert csv_cells.read(text) == text
    stream = io.StringIO(newline="")
    csv_cells.write_rows(stream, ["a", "=b"], [[-1.5, "x"], [None, "-1"], [7, "=A1"]])
    assert stream.getvalue() == "a,'=b\n-1.5,x\n,'-1\n7,'=A1\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Crystals with such ids and notes."""
    crystals = [
        Crystal(each, LATTICE, [14], [[0, 0, 0]], {"note": note}) for each, note in zip(IDS, IDS[::-1], strict=True)
    ]
    crystal_table.write(crystal_table.from_crystals(crystals), tmp_path / "evil.parquet")
    return tmp_path / "evil.parquet"


# Every command that writes a CSV, which is the last word.
COMMANDS = {
    "convert": "convert evil.parquet out.csv",
    "lemat": "convert evil.parquet --to lemat out.csv",
    "compositions": "compositions --crystals evil.parquet --out-file out.csv",
    "estimate": "estimate --crystals evil.parquet --relax {engine:vasp} --out-file out.csv",
    "metrics": "metrics --crystals evil.parquet --reference evil.parquet --out-file m.json --verdicts-csv out.csv",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_writes_a_formula(table: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(table.parent)
    assert main(COMMANDS[name].replace("{engine:vasp}", '{"engine":"vasp"}').split()) == 0
    text = Path("out.csv").read_bytes().decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) == len(IDS) + 1
    assert [cell for row in rows for cell in row if is_formula(cell)] == []
    column = "truth_id" if name == "compositions" else "material_id"
    cells = pd.read_csv(io.StringIO(text, newline=""), dtype=str, keep_default_na=False, lineterminator="\n")[column]
    assert [csv_cells.read(cell) for cell in cells] == IDS


@pytest.mark.parametrize("form", ["csv", "lemat"])
def test_ids_and_notes_come_back(table: Path, form: str):
    path = table.with_name("out.csv")
    assert main(["convert", str(table), str(path), "--to", form]) == 0
    back, rejected = read_crystals(path, ConvertSettings(properties={"note": PropertyColumn(kind="string")}))
    assert rejected == []
    assert back.material_ids == IDS
    assert back.column("note").tolist() == IDS[::-1]


def test_nothing_else_writes_csv():
    numbers_alone = {"unimat/csv_cells.py", "unimat/model/training/history.py", "unimat/model/shipped/pretrained.py"}
    writes = re.compile(r"csv\.writer|DictWriter|to_csv\(|csv\.write_csv")
    found = {path for path in ROOT.glob("unimat/**/*.py") if writes.search(path.read_text(encoding="utf-8"))}
    assert {path.relative_to(ROOT).as_posix() for path in found} == numbers_alone
