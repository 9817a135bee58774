"""What the halves of the package may import, seen from a fresh interpreter."""

import pkgutil
import subprocess
import sys

import unimat.model

FOREIGN = ("pymatgen", "torch", "snakemake", "pandas", "scipy", "ase", "matplotlib", "atomate2", "chgnet")


def imported_by(modules: list[str], startup: str = "") -> set[str]:
    """Top-level packages in a fresh interpreter after importing `modules`."""
    code = f"{startup}\nimport sys\nimport {', '.join(modules)}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_accelerator_half_imports_nothing_of_the_materials_half():
    modules = [f"unimat.model.{module.name}" for module in pkgutil.iter_modules(unimat.model.__path__)]
    assert "unimat.model.unet" in modules
    ours = imported_by([*modules, "unimat.cli.encode", "unimat.cli.train", "unimat.cli.sample", "unimat.cli.doctor"])
    # JAX brings scipy itself; what counts is that our modules ask for no more than JAX, Flax, Optax and Orbax do.
    base = imported_by(["jax", "flax.linen", "optax", "orbax.checkpoint", "pyarrow.parquet", "tqdm"])
    assert ours & set(FOREIGN) <= base & set(FOREIGN)
    assert "pymatgen" not in base
