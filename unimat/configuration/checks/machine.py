"""Packages, programs and files that planned jobs need of this machine, found before the first of them runs.

Where the jobs run on another machine than this one, UNIMAT_ELSEWHERE=1 says so, and nothing of it is asked for.
"""

import ast
import importlib.machinery
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from unimat.configuration.checks.files import references_of
from unimat.configuration.configuration import Configuration
from unimat.configuration.plan import Plan
from unimat.distributions import installed
from unimat.materials.relax.force_fields.known import ASE, FORCE_FIELDS
from unimat.materials.relax.force_fields.settings import ForceFieldSettings
from unimat.materials.relax.jobs.store_names import FILES, chosen_store, is_uri
from unimat.materials.relax.settings import VaspSettings
from unimat.materials.stability.references.places import WHERE_TO_GET

VARIABLE = "UNIMAT_ELSEWHERE"
OR_ELSEWHERE = f"or {VARIABLE}=1 where the jobs run elsewhere"
ATOMATE = ("atomate2", "jobflow", "maggma", "emmet-core")
POTENTIALS = "PMG_VASP_PSP_DIR"
PYMATGEN_FILES = ("~/.config/.pmgrc.yaml", "~/.pmgrc.yaml")
API_KEYS = ("MP_API_KEY", "PMG_MAPI_KEY")  # environment variables


def mistakes(configuration: Configuration, targets: Sequence[str] = (), submitted: bool = False) -> Iterator[str]:
    """What this machine lacks for the jobs of the targets; of sets that are relaxed already nothing is asked.

    Args:
        submitted: jobs run on nodes of a cluster, whose programs are not seen from here; packages are.
    """
    if os.environ.get(VARIABLE, "") not in ("", "0"):
        return
    plan = Plan(configuration, targets)
    for name in plan.sets_of("relax_shard", "relax_crystal"):
        if not Path("results", configuration.run, "sets", name, "relaxed.parquet").exists():
            yield from _engine_of(configuration, name, submitted)
    if any(job[0] == "md_set" for job in plan.jobs):
        settings = configuration.settings["md"]
        yield from _engine("md", settings.engine, settings.force_field, settings.vasp, submitted)
    if any(job[0] == "metrics_set" for job in plan.jobs):
        yield from _predictor(configuration.settings["metrics"].energy_predictor)
    yield from _references(configuration, plan)


def _engine_of(configuration: Configuration, name: str, submitted: bool) -> Iterator[str]:
    settings, own = configuration.relaxation(name), configuration.changed("relax", name)
    prefix = f"relax.by_set.{name}" if {"engine", settings.engine, "force_field"} & own.keys() else "relax"
    yield from _engine(prefix, settings.engine, settings.force_field, settings.vasp, submitted)
    yield from _store(f"{prefix}.store", settings.store)
    if settings.engine == "gpaw" and settings.gpaw.setups and not Path(settings.gpaw.setups).expanduser().is_dir():
        yield f"{prefix}.gpaw.setups names {settings.gpaw.setups!r}, and there is no such folder"


def _store(key: str, name: str) -> Iterator[str]:
    """The file that describes a job store is there."""
    try:
        chosen = chosen_store(name)
    except ValueError as error:
        yield str(error)
        return
    if chosen.endswith(FILES) and not is_uri(chosen) and not Path(chosen).is_file():
        yield f"{key} names the file {chosen!r}, and there is none; describe a JobStore there, or take memory"


def _engine(
    prefix: str, engine: str, force_field: ForceFieldSettings, vasp: VaspSettings, submitted: bool
) -> Iterator[str]:
    if engine == "vasp":
        yield from _packages(f"{prefix}.engine 'vasp'", (*ATOMATE, "custodian"), "unimat[chgnet]")
        if not submitted:
            yield from _vasp(prefix, vasp)
    elif engine == "gpaw":
        yield from _packages(f"{prefix}.engine 'gpaw'", ("gpaw", *ATOMATE), "unimat[gpaw]")
    else:
        known = FORCE_FIELDS[engine]
        install = "unimat[chgnet]" if engine == "chgnet" else known.package
        needed = (*ATOMATE, "torch") if engine == ASE else (known.package, *ATOMATE, "torch")
        yield from _packages(f"{prefix}.engine {engine!r}", needed, install)
        yield from _model(f"{prefix}.force_field", engine, force_field)


def _packages(who: str, needed: Sequence[str], install: str) -> Iterator[str]:
    """A line if a distribution is missing; a folder of its name that can be imported is none."""
    missing = [name for name in needed if not installed(name)]
    if missing:
        verb = "which is not installed" if len(missing) == 1 else "which are not installed"
        # A package's own force field needs the rest, too, which comes with CHGNet's.
        extra = install if missing[0] not in ATOMATE or "[" in install else "unimat[chgnet]"
        what = f"the package{'s' * (len(missing) > 1)} {', '.join(missing)}"
        yield f"{who} needs {what}, {verb}: pip install {extra!r} ({OR_ELSEWHERE})"


def _model(prefix: str, engine: str, settings: ForceFieldSettings) -> Iterator[str]:
    """The file of a model is there, and so is a calculator of one's own."""
    model = settings.model
    if model is not None:
        of_the_user = FORCE_FIELDS[engine].model is None
        if (of_the_user or "/" in model or model.startswith(("~", "."))) and not Path(model).expanduser().exists():
            yield f"{prefix}.model names {model!r}, and there is no such file; paths are relative to where you call"
    if engine == ASE and settings.calculator is not None:
        yield from import_path(f"{prefix}.calculator", settings.calculator)


def import_path(key: str, path: str) -> Iterator[str]:
    """A line if `path`, module.name or module:name, leads nowhere; nothing is imported."""
    module, _, attribute = path.rpartition(":") if ":" in path else path.rpartition(".")
    if not module or not attribute.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        yield f"{key} is {path!r}; give the import path of a function or a class, such as ase.calculators.emt.EMT"
        return
    search: Sequence[str] | None = None
    spec = None
    for depth, part in enumerate(parts := module.split(".")):
        name = ".".join(parts[: depth + 1])
        spec = importlib.machinery.PathFinder.find_spec(name, search)
        if spec is None or (spec.origin is None and not spec.submodule_search_locations):
            yield f"{key} is {path!r}, and there is no module {name!r}; install it, or put its folder into PYTHONPATH"
            return
        search = spec.submodule_search_locations and list(spec.submodule_search_locations)
        if search is None and depth + 1 < len(parts):
            yield f"{key} is {path!r}, and {name!r} is no package; check {part!r} and what follows it"
            return
    if spec is not None and spec.origin is None:  # a folder that Python could import, and no module
        yield f"{key} is {path!r}, and there is no module {module!r}; {module!r} is a folder without one"
    elif (
        spec is not None and spec.origin and spec.origin.endswith(".py") and not _defines(Path(spec.origin), attribute)
    ):
        yield f"{key} is {path!r}, and {module!r} defines no {attribute!r}; check the name"


def _defines(source: Path, name: str) -> bool:
    """Whether a module binds a name at its top, as far as its text says."""
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True  # importing it will say more
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            for alias in node.names:
                if alias.name == "*" or (alias.asname or alias.name.split(".")[0]) == name:
                    return True
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name in (name, "__getattr__"):
                return True
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name:
            return True
    return False


def _vasp(prefix: str, settings: VaspSettings) -> Iterator[str]:
    """VASP's program and a folder of potentials are there, as its engine looks for them."""
    command = settings.command or os.environ.get("ATOMATE2_VASP_CMD") or _setting("~/.atomate2.yaml", "VASP_CMD")
    command = command or "vasp_std"  # atomate2's default
    try:
        words = shlex.split(command)
    except ValueError:
        yield f"{prefix}.vasp.command is {command!r}, in which a quote is not closed; close it"
        words = []
    if words and shutil.which(words[0]) is None:
        yield (
            f"{prefix}.engine 'vasp' is called by {command!r}, and no program {words[0]!r} is found; set"
            f" relax.vasp.command or ATOMATE2_VASP_CMD, or load VASP's module ({OR_ELSEWHERE})"
        )
    folder = os.environ.get(POTENTIALS) or next(
        (found for each in PYMATGEN_FILES if (found := _setting(each, POTENTIALS))), None
    )
    if folder is None or not Path(folder).expanduser().is_dir():
        found = "is not set" if folder is None else f"is {folder!r}, which is no folder"
        yield (
            f"{prefix}.engine 'vasp' needs VASP's potentials: {POTENTIALS} {found}; set it in the environment or in"
            f" ~/.config/.pmgrc.yaml to the folder that holds POT_GGA_PAW_PBE ({OR_ELSEWHERE})"
        )


def _setting(path: str, name: str) -> str | None:
    """A setting of another program's YAML file; None if it has none."""
    import yaml

    try:
        values = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    found = values.get(name) if isinstance(values, Mapping) else None
    return str(found) if found else None


def _predictor(name: str) -> Iterator[str]:
    if name == "chgnet":
        yield from _packages("metrics.energy_predictor 'chgnet'", ("chgnet", "torch"), "unimat[chgnet]")
    elif name != "none":
        yield from import_path("metrics.energy_predictor", name)


def _references(configuration: Configuration, plan: Plan) -> Iterator[str]:
    """Local files of hull references that are to be built lie here or under UNIMAT_DATA_DIR."""
    data = os.environ.get("UNIMAT_DATA_DIR", "")
    for key, reference in references_of(configuration).items() if plan.sets_of("hull_set") else ():
        if Path("results", configuration.run, _built(key)).exists():
            continue
        for name, part in reference.parts.items():
            if part.kind == "materials_project_api":
                yield from _client(key)
            if part.path is None or any(Path(folder, part.path).exists() for folder in ("", *([data] if data else []))):
                continue
            where = f"{key}.sources.{name}.path" if reference.kind == "combined" else f"{key}.path"
            source = WHERE_TO_GET.get(Path(part.path).name)
            hint = f"it is published as {source}" if source else "give the path of a file that is there"
            yield f"{where} names {part.path!r}, and there is no such file here or under UNIMAT_DATA_DIR; {hint}"


def _client(key: str) -> Iterator[str]:
    """The client of the Materials Project's API is installed, and there is a key for it."""
    if not installed("mp-api"):
        yield f"{key} of kind materials_project_api needs mp-api, which is not installed: pip install mp-api"
    in_files = any(_setting(each, API_KEYS[1]) for each in PYMATGEN_FILES)
    if not in_files and not any(os.environ.get(name) for name in API_KEYS):
        yield f"{key} of kind materials_project_api needs a key: set {API_KEYS[0]} in the environment"


def _built(key: str) -> str:
    """Where under a run's folder the reference of a key is written to."""
    parts = key.split(".")[1:]  # by_set.NAME.reference, references.NAME, ...
    return "/".join(["hull", *(part for part in parts if part != "reference"), "reference.parquet"])
