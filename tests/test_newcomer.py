"""A machine with `make env` and no more: what it lacks is skipped with the reason, run later, and each test once."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.needs import DATA_VARIABLE, SYSTEM
from unimat import distributions
from unimat.errors import UserError
from unimat.materials.relax.force_fields.known import FORCE_FIELDS

ROOT = Path(__file__).parents[1]
# Python's names of what a newcomer lacks; see also the engines and the extras of pyproject.toml.
LACKING = {"gpaw", "gpaw_data", "jobflow_remote", "mp_api", "optimade", "ase_db_backends", "libtpu", "grain"}
PROGRAMS = {"vasp", "slurm", "pyslurm", "munge", "chromium"}  # names of packages that drive them, or may come to be


def names_under_tests() -> dict[str, Path]:
    """Folders and modules by the name that `import` would know them by, were they on the path."""
    modules = [path for path in ROOT.glob("tests/**/*.py") if path.stem not in ("__init__", "__main__")]
    folders = {path.parent for path in modules} - {ROOT / "tests"}
    return {path.stem: path for path in [*modules, *folders]}


def test_no_folder_or_module_of_tests_bears_the_name_of_a_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [line for each in project["optional-dependencies"].values() for line in each]
    extras = {canonicalize_name(Requirement(line).name) for line in lines}
    engines = {name for each in FORCE_FIELDS.values() for name in (each.module.split(".")[0], each.package)}
    distributed = {name.replace("-", "_") for name in extras | engines}
    taken = sys.stdlib_module_names | packages_distributions().keys() | distributed | LACKING | PROGRAMS
    found = names_under_tests()
    assert {"workflow", "test_newcomer", "stand_in_vasp"} <= found.keys()
    assert found.keys() & taken == set()


def test_no_folder_or_module_of_tests_is_imported_by_its_bare_name():
    """Neither here nor by a script that starts in the root: `tests.NAME` is the one name of each."""
    for name in names_under_tests():
        spec = PathFinder.find_spec(name)  # on the path; a benchmark that another test has loaded may be in sys.modules
        places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or [])]
        assert not [place for place in places if place and Path(place).is_relative_to(ROOT / "tests")], name


def test_a_folder_that_bears_a_packages_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "no_such_engine").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.util.find_spec("no_such_engine") is not None
    assert not distributions.installed("no-such-engine")
    with pytest.raises(UserError, match="get it"):
        distributions.imported("no_such_engine", "no-such-engine", "get it")
    assert distributions.installed("unimat")
    assert distributions.imported("numpy", "numpy", "get it").__name__ == "numpy"


def test_nobody_asks_for_a_name_that_can_be_found():
    """A distribution is asked for, but where a user names a module of his own."""
    of_the_user = {"unimat/configuration/checks/machine.py", "unimat/materials/relax/force_fields/known.py"}
    asks = re.compile(r"\b(?:find_spec|find_loader|importorskip)\(")
    files = [
        path for pattern in ("unimat/**/*.py", "tests/**/*.py", "workflow/**/*.smk") for path in ROOT.glob(pattern)
    ]
    found = {path for path in files if path != Path(__file__) and asks.search(path.read_text(encoding="utf-8"))}
    assert {path.relative_to(ROOT).as_posix() for path in found} == of_the_user


# Python with a newcomer's packages; sys.argv[1] names those that are hidden.
NEWCOMER = """
import importlib.metadata, sys
hidden, real = sys.argv[1].split(","), importlib.metadata.distribution
def distribution(name):
    if name in hidden:
        raise importlib.metadata.PackageNotFoundError(name)
    return real(name)
importlib.metadata.distribution = distribution
sys.modules |= {name.replace("-", "_"): None for name in hidden}
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""


def test_what_a_newcomer_lacks_is_skipped_with_the_reason_and_nothing_else_comes_of_it(tmp_path: Path):
    others = [path for path in ROOT.glob("tests/**/test_*.py") if path != Path(__file__)]
    marks = re.compile(r"mark\.(system|published)")
    files = [str(path) for path in others if marks.search(path.read_text(encoding="utf-8"))]
    report = tmp_path / "report.xml"
    command = [sys.executable, "-c", NEWCOMER, "gpaw,gpaw-data,jobflow-remote", *files, "-m", "system or published"]
    command += ["-q", "-p", "no:xdist", "-o", f"cache_dir={tmp_path}", f"--junitxml={report}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UNIMAT_", "PYTEST_"))}
    done = subprocess.run(
        command, cwd=ROOT, env={**environment, "PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    cases = ET.parse(report).getroot().findall(".//testcase")
    assert {child.tag for case in cases for child in case} == {"properties", "skipped"}  # none ran, failed or erred
    needed = {skipped.get("message").split(":")[0] for case in cases for skipped in case.findall("skipped")}
    assert needed == {f"needs {name}" for name in (*SYSTEM, "published data")}
    assert len(cases) > 60


SMALL = """
import pytest
def test_anywhere(): pass
@pytest.mark.skip(reason="never runs here")
def test_nowhere(): pass
@pytest.mark.published
def test_with_data(published_data): assert published_data.is_dir()
@pytest.mark.published
def test_without_what_nobody_named(): pytest.importorskip("no_such_package")
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_the_remaining_tests_run_once_and_none_of_them_may_be_skipped(tmp_path: Path, processes: str):
    (tmp_path / "test_small.py").write_text(SMALL, encoding="utf-8")

    def outcome(*options: str, **variables: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
        command += ["-p", "tests.conftest", "-o", f"cache_dir={tmp_path / 'cache'}", "-n", processes, *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("UNIMAT_", "PYTEST_"))}
        environment |= {"PYTHONPATH": str(ROOT), **variables}
        done = subprocess.run(
            [*command, str(tmp_path / "test_small.py")], env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout

    code, text = outcome()
    assert (code, "1 passed, 3 skipped" in text) == (0, True), text
    code, text = outcome("--remaining")
    assert (code, "2 errors" in text) == (1, True), text
    assert "needs published data" in text
    code, text = outcome("--remaining", **{DATA_VARIABLE: str(tmp_path)})
    assert (code, "1 failed, 1 passed" in text) == (1, True), text
    assert "nothing may be lacking: Skipped: could not import 'no_such_package'" in text
    code, text = outcome("--remaining", **{DATA_VARIABLE: str(tmp_path)})
    assert (code, "passed" in text or "failed" in text) == (0, False), text
