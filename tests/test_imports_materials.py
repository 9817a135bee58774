"""What the materials half may import, in a fresh interpreter."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import unimat
import unimat.materials

ACCELERATOR = {"jax", "flax", "optax", "orbax", "jaxlib"}
FOUNDATION = ["errors", "files", "settings", "crystal_table", "periodic_table", "formulas"]
MATERIALS = {"pymatgen", "ase", "gemmi", "scipy", "pandas", "spglib", "matplotlib", "jinja2", "smact", "matminer"}


def modules_of(package):
    walked = pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda name: None)
    return [module.name for module in walked]


def imported_by(*modules):
    """Top-level packages in memory after importing `modules` in a fresh interpreter."""
    code = "\n".join(f"import {module}" for module in modules)
    code += "\nimport sys\nprint(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return set(done.stdout.split())


def test_foundation_imports_neither_half():
    assert not imported_by(*(f"unimat.{name}" for name in FOUNDATION)) & (ACCELERATOR | MATERIALS | {"torch"})


def test_materials_half_imports_no_accelerator_torch_or_snakemake():
    # Engines live below relax/ and dynamics/ and may import their machinery; nothing else imports an engine.
    # Soft spheres and the learning of distances are JAX throughout; nothing imports them but inside functions.
    engines = (".materials.relax", ".dynamics.forcefield", ".dynamics.vasp")
    modules = [name for name in modules_of(unimat.materials) if not any(each in name for each in engines)]
    modules = [name for name in modules if ".soft_sphere" not in name and ".search.learning" not in name]
    assert len(modules) > 10
    assert not imported_by(*modules) & (ACCELERATOR | {"torch", "chgnet", "atomate2", "jobflow", "snakemake"})


def test_settings_and_datasets_are_importable_without_pymatgen():
    names = ["ingest_settings", "datasets", "fetch", "download", "splits", "gather"]
    assert not imported_by(*(f"unimat.materials.{name}" for name in names)) & (MATERIALS | {"torch"})


def test_nothing_imports_snakemake_or_the_other_half_by_text():
    root = Path(unimat.__file__).parent
    for path in root.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "import snakemake" not in source, path
        assert "from snakemake" not in source, path
        if path.is_relative_to(root / "materials"):
            assert "unimat.model" not in source, path
