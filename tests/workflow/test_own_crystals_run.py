"""The configuration that docs/own_crystals.md shows first, run as it stands but for fewer steps and crystals."""

import re

import pytest
import yaml
from pymatgen.io.cif import CifWriter

from tests.report.report_run import crystals
from tests.workflow.conftest import ROOT, Run
from unimat import crystal_table
from unimat.files import read_json
from unimat.materials.crystals.structures import to_structure


@pytest.mark.slow
def test_the_first_lines_of_the_page_end_with_crystals_and_a_report(run: Run):
    """Two minutes on two cores, most of them for compiling the network."""
    text = re.search(r"```yaml\n(.*?)```", (ROOT / "docs/own_crystals.md").read_text(encoding="utf-8"), re.DOTALL)
    assert text is not None
    values = yaml.safe_load(text[1])
    values["sample"] = {"n": 4, "steps": 5}
    values["train"] = {"steps": 10}
    (run.folder / "mine.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (run.folder / "my_cifs").mkdir()
    for each in crystals(40, 3, "own", 0.02, 0.1):
        (run.folder / f"my_cifs/{each.material_id}.cif").write_text(str(CifWriter(to_structure(each))))
    done = run.snakemake("--cores", "2", "--configfile", "mine.yaml", stand_in=False)
    assert done.returncode == 0, done.stdout
    results = run.folder / "results/mine"
    training = read_json(results / "model/training.json")["settings"]
    assert (training["model"]["network"], training["train"]["batch_size"]) == ("compact", 24)  # three fifths of 40
    sampling = read_json(results / "sets/generated/sampling.json")
    assert sampling["n_requested"] == 4
    crystal_table.read(results / "sets/generated/crystals.parquet")
    assert "<svg" in (results / "report.html").read_text(encoding="utf-8")
