"""What the halves of the package may import, seen from a fresh interpreter."""

import ast
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import unimat
import unimat.model

FOREIGN = ("pymatgen", "torch", "snakemake", "pandas", "scipy", "ase", "matplotlib", "atomate2", "chgnet")
PACKAGE = Path(unimat.__file__).parent


def accelerator_modules() -> list[str]:
    """All modules of the accelerator half at any depth, as many as there are files, and its commands."""
    names = [module.name for module in pkgutil.walk_packages(unimat.model.__path__, "unimat.model.")]
    assert len(names) == len(list((PACKAGE / "model").rglob("*.py"))) - 1, "a folder lacks its __init__.py"
    return [*names, "unimat.cli.encode", "unimat.cli.train", "unimat.cli.sample", "unimat.cli.doctor"]


def imported_by(modules: list[str], root: Path | None = None) -> set[str]:
    """Top-level packages in a fresh interpreter after importing `modules`; from `root`, if another is meant."""
    code = f"import sys\nimport {', '.join(modules)}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    if root is not None:
        code += f"\nassert sys.modules['unimat'].__file__.startswith({str(root)!r})"
    environment = os.environ if root is None else {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_accelerator_half_imports_nothing_of_the_materials_half():
    modules = accelerator_modules()
    assert "unimat.model.network.unet" in modules
    assert len(modules) > 70
    ours = imported_by(modules)
    # JAX brings scipy itself; what counts is that our modules ask for no more than JAX, Flax, Optax and Orbax do.
    base = imported_by(["jax", "flax.linen", "optax", "orbax.checkpoint", "pyarrow.parquet"])
    assert ours & set(FOREIGN) <= base & set(FOREIGN)
    assert "pymatgen" not in base


def test_an_import_planted_in_any_room_is_seen(tmp_path):
    """In a copy of the package, with an empty package of that name."""
    unneeded = shutil.ignore_patterns("__pycache__", "*.npz", "static")
    copy = shutil.copytree(PACKAGE, tmp_path / "unimat", ignore=unneeded)
    planted = {}
    for room in sorted({path.parent for path in (copy / "model").rglob("*.py")}):
        planted[room] = f"planted_in_{room.name}"
        (tmp_path / f"{planted[room]}.py").touch()
        with max(path for path in room.glob("*.py") if path.stem != "run").open("a", encoding="utf-8") as file:
            file.write(f"\nimport {planted[room]}\n")
    assert len(planted) > 8
    assert imported_by(accelerator_modules(), tmp_path) >= set(planted.values())


# What a bare accelerator image has; Flax and Orbax bring yaml, and the last three are asked for only where they are.
BARE = {"jax", "flax", "optax", "orbax", "numpy", "pandas", "pyarrow", "yaml"}
OPTIONAL = {"tqdm", "tensorboardX", "tensorboard", "psutil"}


def imported_names(path: Path) -> set[str]:
    """Top-level packages that the text of a module imports, anywhere in it."""
    return {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }


def test_accelerator_half_names_no_package_that_a_bare_image_lacks():
    files = [*PACKAGE.glob("*.py"), *PACKAGE.glob("model/**/*.py")]
    assert len(files) > 90
    names = set().union(*map(imported_names, files))
    assert "jax" in names
    assert names - set(sys.stdlib_module_names) - {"unimat"} <= BARE | OPTIONAL


def test_a_planted_name_is_seen(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("import jax.numpy as jnp\n\n\ndef late():\n    from pymatgen.core import Structure\n")
    assert imported_names(planted) == {"jax", "pymatgen"}


def test_a_missing_tqdm_costs_the_bars_alone():
    hidden = "import sys; sys.modules['tqdm'] = None"
    code = (
        f"{hidden}\nimport unimat.model.training.loop\nfrom unimat.progress import progress\n"
        "with progress(total=3, desc='x') as bar:\n    bar.update(); bar.set_postfix(loss=1.0, refresh=False)\n"
        "print(list(progress([1, 2])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1, 2]"
