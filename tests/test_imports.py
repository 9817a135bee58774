"""What the halves of the package may import, seen from a fresh interpreter."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import unimat
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
    base = imported_by(["jax", "flax.linen", "optax", "orbax.checkpoint", "pyarrow.parquet"])
    assert ours & set(FOREIGN) <= base & set(FOREIGN)
    assert "pymatgen" not in base


# What a bare accelerator image has; Flax and Orbax bring yaml, and the last three are asked for only where they are.
BARE = {"jax", "flax", "optax", "orbax", "numpy", "pandas", "pyarrow", "yaml"}
OPTIONAL = {"tqdm", "tensorboardX", "tensorboard", "psutil"}


def test_accelerator_half_names_no_package_that_a_bare_image_lacks():
    package = Path(unimat.__file__).parent
    names = {
        name.split(".")[0]
        for path in [*package.glob("*.py"), *package.glob("model/**/*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    assert "jax" in names
    assert names - set(sys.stdlib_module_names) - {"unimat"} <= BARE | OPTIONAL


def test_a_missing_tqdm_costs_the_bars_alone():
    hidden = "import sys; sys.modules['tqdm'] = None"
    code = (
        f"{hidden}\nimport unimat.model.training_loop\nfrom unimat.progress import progress\n"
        "with progress(total=3, desc='x') as bar:\n    bar.update(); bar.set_postfix(loss=1.0, refresh=False)\n"
        "print(list(progress([1, 2])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1, 2]"
