"""The ways in: what pyproject.toml asks for, what constraints.txt and environment.yml pin, and what a wheel holds."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ACCELERATORS = {"tpu", "cuda"}
# Extras that need a machine of its own, or system packages to be built with; the environment leaves them out.
ELSEWHERE = {*ACCELERATORS, "gpaw"}
# conda-forge's names where they are not the package's.
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "playwright": "playwright-python"}


def asked_for() -> dict[str, Requirement]:
    """Direct dependencies of the environment by canonical name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [lines for name, lines in project["optional-dependencies"].items() if name not in ELSEWHERE]
    requirements = [Requirement(line) for lines in (project["dependencies"], *extras) for line in lines]
    return {canonicalize_name(each.name): each for each in requirements if each.name != "unimat"}


def pinned() -> dict[str, str]:
    """Versions of constraints.txt by canonical name."""
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def of_conda() -> dict[str, str]:
    """Versions of environment.yml by conda-forge's name, those that pip installs included."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (by_pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    pins = [re.split("=+", entry) for entry in [*entries, *by_pip] if isinstance(entry, str) and "=" in entry]
    return dict(pins)


def test_constraints_pin_everything_that_is_asked_for_within_its_range():
    pins = pinned()
    assert asked_for().keys() - pins.keys() == set()
    wrong = [str(each) for name, each in asked_for().items() if not each.specifier.contains(pins[name])]
    assert wrong == []


def test_constraints_are_plain_pins():
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), line


def test_conda_has_the_same_versions_of_the_same_packages():
    expected = {CONDA_NAMES.get(name, name): pinned()[name] for name in asked_for()}
    found = of_conda()
    assert found.pop("python") == "3.11"
    assert found == expected


def test_accelerator_extras_ask_for_the_same_jax():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = next(Requirement(line) for line in project["dependencies"] if line.startswith("jax"))
    for extra in ACCELERATORS:
        (jax,) = map(Requirement, project["optional-dependencies"][extra])
        assert (jax.name, jax.specifier) == ("jax", base.specifier)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the working tree, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, ROOT], check=True, timeout=300)
    return next(folder.glob("unimat-*.whl"))


def test_a_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "unimat").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith(".")
    }
    schemas = {f"unimat/configuration/schemas/{path.name}" for path in ROOT.glob("workflow/schemas/*.yaml")}
    assert schemas
    assert {name for name in names if not name.split("/")[0].endswith(".dist-info")} == files | schemas


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel is installed, and no more."""
    target = tmp_path_factory.mktemp("installed") / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run(command, check=True, timeout=300)
    return target


def in_a_fresh_install(site: Path, folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "UNIMAT_PRETRAINED"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_wheel_runs_outside_the_checkout(site: Path, tmp_path: Path):
    code = "import unimat, sys; print(unimat.__file__); from unimat.cli import main; sys.exit(main(['--help']))"
    done = in_a_fresh_install(site, tmp_path, code)
    assert done.stdout.startswith(str(site)), done.stderr
    assert "decomposition energy" in done.stdout


def test_a_wheel_checks_a_configuration_outside_the_checkout(site: Path, tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("run: mine\ndataset: {name: silicon_carbon}\nrelax: {fmx: 1}\n")
    done = in_a_fresh_install(site, tmp_path, "from unimat.cli import main; main(['doctor', '--config', 'mine.yaml'])")
    assert done.stdout == "problem  mine.yaml: unknown key 'relax.fmx'; did you mean 'fmax'?\n"


# No name is looked up and no connection is made: whatever would be downloaded fails.
OFFLINE = """
import socket, sys
def refuse(*_, **__):
    raise OSError("a network was asked for")
socket.getaddrinfo = socket.socket.connect = refuse
"""


def test_a_wheel_draws_crystals_with_every_model_that_ships_and_no_network(site: Path, tmp_path: Path):
    names = sorted(path.stem for path in (ROOT / "unimat/pretrained").glob("*.npz"))
    assert names
    settings = '{"steps": 2, "batch_size": 2}'
    calls = [["sample", "--pretrained", name, "--count", "2", "--settings", settings, "--out", name] for name in names]
    code = f"{OFFLINE}from unimat.cli import main\nsys.exit(main(['pretrained']) or max(map(main, {calls!r})))"
    done = in_a_fresh_install(site, tmp_path, code)
    assert done.returncode == 0, done.stderr
    for name in names:
        assert f"\n{name} " in f"\n{done.stdout}"
        assert (tmp_path / name / "crystals.parquet").is_file()
