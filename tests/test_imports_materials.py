"""What the materials half may import, in a fresh interpreter."""

import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import unimat
import unimat.doctor
import unimat.materials

ACCELERATOR = {"jax", "flax", "optax", "orbax", "jaxlib"}
FOUNDATION = ["errors", "files", "settings", "crystal_table", "periodic_table", "formulas"]
MATERIALS = {"pymatgen", "ase", "gemmi", "scipy", "pandas", "spglib", "matplotlib", "jinja2", "smact", "matminer"}
MACHINERY = ACCELERATOR | {"torch", "chgnet", "atomate2", "jobflow", "snakemake"}
# Engines import their machinery; soft spheres and the learning of distances are JAX throughout. Nothing else imports
# one of these modules, or of the modules in these packages, but inside functions.
ENGINES = (
    "relax.flows", "relax.force_fields", "relax.gpaw", "relax.jobs", "relax.relaxation_monitor", "relax.vasp",
    "dynamics.forcefield", "dynamics.vasp",
    "search.learning", "search.random_search.soft_sphere_steps", "search.random_search.soft_spheres",
)  # fmt: skip


def modules_of(package: ModuleType) -> list[str]:
    """All modules of a package at any depth, as many as there are files: a room without __init__.py is not seen."""
    names = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    files = list(Path(package.__path__[0]).rglob("*.py"))
    assert len(names) == len(files) - 1, "a folder lacks its __init__.py"
    return names


def light_modules() -> list[str]:
    """Modules of the materials half, and of the doctors of a machine, but for the engines."""
    light, heavy = modules_of(unimat.materials), set()
    for engine in (f"unimat.materials.{name}" for name in ENGINES):
        found = {name for name in light if name == engine or name.startswith(f"{engine}.")}
        assert found, f"there is no {engine}"
        heavy |= found
    return [name for name in light if name not in heavy] + modules_of(unimat.doctor)


def imported_by(*modules: str, root: Path | None = None) -> set[str]:
    """Top-level packages in a fresh interpreter after importing `modules`; from `root`, if another is meant."""
    code = "\n".join(f"import {module}" for module in modules)
    code += "\nimport sys\nprint(*sorted({name.split('.')[0] for name in sys.modules}))"
    if root is not None:
        code += f"\nassert sys.modules['unimat'].__file__.startswith({str(root)!r})"
    environment = os.environ if root is None else {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return set(done.stdout.split())


def test_foundation_imports_neither_half():
    assert not imported_by(*(f"unimat.{name}" for name in FOUNDATION)) & (ACCELERATOR | MATERIALS | {"torch"})


def test_materials_half_imports_no_accelerator_torch_or_snakemake():
    modules = light_modules()
    assert len(modules) > 120
    assert not imported_by(*modules) & MACHINERY


def test_an_import_planted_in_any_room_is_seen(tmp_path):
    """In a copy of the package, with an empty package of that name."""
    unneeded = shutil.ignore_patterns("__pycache__", "*.npz", "static")
    copy = shutil.copytree(Path(unimat.__file__).parent, tmp_path / "unimat", ignore=unneeded)
    rooms = sorted({Path(*name.split(".")).parent for name in light_modules()})
    planted = {room: f"planted_{number}" for number, room in enumerate(rooms) if room.name != "unimat"}
    for room, name in planted.items():
        (tmp_path / f"{name}.py").touch()
        files = [path for path in (tmp_path / room).glob("*.py") if path.name != "__init__.py"]
        light = [path for path in files if ".".join((*room.parts, path.stem)) in light_modules()]
        with (max(light) if light else copy.parent / room / "__init__.py").open("a", encoding="utf-8") as file:
            file.write(f"\nimport {name}\n")
    assert len(planted) > 15
    assert imported_by(*light_modules(), root=tmp_path) >= set(planted.values())


def test_settings_and_datasets_are_importable_without_pymatgen():
    names = [
        "datasets.known",
        "datasets.fetching.fetch",
        "datasets.fetching.download",
        "datasets.splits",
        "relax.gather",
    ]
    modules = [f"unimat.materials.{name}" for name in names]
    settings = [name for name in modules_of(unimat.materials) if name.endswith(".settings")]
    assert len(settings) > 8
    assert not imported_by(*modules, *settings) & (MATERIALS | {"torch"})


def test_nothing_imports_snakemake_or_the_other_half_by_text():
    root = Path(unimat.__file__).parent
    rooms = {"materials": "unimat.model", "doctor": "unimat.model", "model": "unimat.materials"}
    seen = dict.fromkeys(rooms, 0)
    for path in root.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert "import snakemake" not in source, path
        assert "from snakemake" not in source, path
        for room, other in rooms.items():
            if path.is_relative_to(root / room):
                seen[room] += 1
                assert other not in source, path
    assert seen["materials"] > 150
    assert seen["model"] > 60
    assert seen["doctor"] > 4
