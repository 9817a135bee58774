"""Damaged files of a small run: each is told in one line, or what it held is made again to the same result."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks/corruption.py"


@pytest.mark.slow  # it makes a run, from the ingestion to the report, and damages a file of every kind
def test_a_damaged_file_of_every_kind_changes_no_result_in_silence(tmp_path):
    command = [sys.executable, BENCHMARK, "--n", "36", "--seed", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    figures = {figure["name"]: figure["value"] for figure in line["figures"]}
    assert figures["damaged files"] == 36
    assert len(line["kinds"]) >= 30
    for fault in ("another result, silently", "tracebacks", "refused without the name of the file"):
        assert figures[fault] == 0, done.stderr
