"""CSV files that carry a checksum."""

import hashlib
import json
import subprocess

import pytest

from unimat.checked_csv import rows_of, sealed, text_of, write_beside
from unimat.errors import UserError

TEXT = "formula,count\nNaCl,2\nSi8,1\n"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "compositions.csv").write_text(sealed(TEXT))
    return tmp_path / "compositions.csv"


def test_the_first_line_is_the_sha_256_of_the_rest(path):
    first, rest = path.read_text().split("\n", 1)
    assert first == f"# sha256={hashlib.sha256(TEXT.encode()).hexdigest()}"
    assert rest == text_of(path) == TEXT
    assert rows_of(path) == (
        ["formula", "count"],
        [{"formula": "NaCl", "count": "2"}, {"formula": "Si8", "count": "1"}],
    )


def test_no_changed_byte_is_taken(path):
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x11]) + content[at + 1 :])
        if at == 0:  # no comment any more, so that the reader of the columns finds none of its own
            assert "formula" not in rows_of(path)[0]
            continue
        with pytest.raises(UserError, match=r"compositions.csv"):
            text_of(path)
        if at:
            path.write_bytes(content[:at])
            with pytest.raises(UserError, match=r"compositions.csv"):
                text_of(path)


def test_a_table_that_people_write_or_edit_is_read_without_the_line(path):
    path.write_text("\ufeffformula,count\r\nNaCl,5\r\n", encoding="utf-8")
    assert rows_of(path)[1] == [{"formula": "NaCl", "count": "5"}]
    path.write_bytes("formula\näöü".encode("latin-1"))
    with pytest.raises(UserError, match="not readable as CSV"):
        text_of(path)


def test_what_training_json_lists_is_held_against_it(tmp_path):
    history = tmp_path / "history.csv"
    history.write_text("step,loss\n1,0.5\n2,0.25\n")
    digest = hashlib.sha256(history.read_bytes()).hexdigest()
    (tmp_path / "training.json").write_text(json.dumps({"files": {"history.csv": digest}}))
    assert text_of(history).endswith("2,0.25\n")
    history.write_text("step,loss\n1,0.5\n")
    with pytest.raises(UserError, match=r"history.csv is not what was written .* with `unimat train`"):
        text_of(history)
    (tmp_path / "training.json").write_text("{}")  # of an older version
    assert text_of(history) == "step,loss\n1,0.5\n"


def test_a_list_for_other_programs_has_its_checksum_beside_it(tmp_path):
    path = tmp_path / "compositions.csv"
    write_beside(path, TEXT)
    assert path.read_text() == text_of(path) == TEXT
    done = subprocess.run(["sha256sum", "--check", "compositions.csv.sha256"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0
    path.write_text(TEXT[: TEXT.rindex("Si8")])
    with pytest.raises(UserError, match=r"csv was changed .* remove compositions.csv.sha256 if the change"):
        text_of(path)
    (tmp_path / "compositions.csv.sha256").unlink()
    assert text_of(path) == "formula,count\nNaCl,2\n"
