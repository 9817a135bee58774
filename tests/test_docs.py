"""The pages say what the code does: generated ones are up to date, links and commands lead somewhere."""

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from unimat import cli
from unimat.configuration.reading import read

ROOT = Path(__file__).parents[1]
PAGES = sorted(ROOT.glob("docs/*.md"))
ROOT_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md")]
# Folders that a run makes; what lies in them need not be there.
MADE = (
    "results/",
    "resources/",
    "dataset/",
    "encoded/",
    "model/",
    "sets/",
    "hull/",
    "compare/",
    "work/",
    "predicted/",
    "cifs/",
    "docs/reproduction",
)
# Python writes the help of its argument parser a little differently from version to version.
GENERATED_BY = (3, 11)
WORDS = dict(enumerate(["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]))
TEXT_SUFFIXES = {".py", ".smk", ".md", ".yaml", ".yml", ".toml", ".txt", ".cff", ".html", ".css", ".j2", ".rst", ""}


def configuration_page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("configuration_page", ROOT / "docs/configuration_page.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(sys.version_info[:2] != GENERATED_BY, reason="the pages are generated with Python 3.11")
def test_generated_pages_are_up_to_date(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, ROOT / "docs/generate.py", "--out", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    generated = {str(path.relative_to(tmp_path)): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.md")}
    cards = {f"models/{path.stem}.md" for path in ROOT.glob("unimat/pretrained/*.json")}
    pages = {"configuration.md", "commands.md", "benchmarks.md", "faults.md", "reproduction.md", "models.md"}
    assert generated.keys() == pages | cards
    assert {f"models/{path.name}" for path in ROOT.glob("docs/models/*.md")} == cards
    for name, text in generated.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, f"run docs/generate.py, {name} is old"


def test_every_key_of_the_schemas_is_a_setting_and_the_other_way_round():
    page = configuration_page()
    known = set()
    for name, kind in page.SECTIONS.items():
        schema = page.read_schema(f"{name}.schema.yaml")
        defaults = page.defaults_of(kind, f"{name}.")
        keys = {row[0] for row in page.rows(schema["properties"], f"{name}.", defaults)}
        assert set(defaults) - keys == set(), f"missing in {name}.schema.yaml"
        known |= keys
    assert page.unknown == []
    assert {"relax.vasp.command", "dataset.split.fractions", "metrics.cutoffs.structure"} <= known


def test_defaults_on_the_page_are_those_of_the_rules():
    values = {"run": "r", "dataset": {"name": "silicon_carbon"}, "sets": {"a": {"from": "sample"}}}
    configuration = read({**values, "relax": {"sets": ["a"]}}, []).configuration
    keys = configuration_page().KEYS_OF_RULES
    assert keys["metrics.reference_split"] == configuration.reference_split == "test"
    assert keys["relax.shards"] == configuration.shards("a") == 1


def test_the_pages_build_without_a_warning(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    entries = [value for entry in navigation for value in entry.values()]
    groups = [value for value in entries if not isinstance(value, str)]
    pages = [page for page in entries if isinstance(page, str)]
    pages += [page for group in groups for entry in group for page in entry.values()]
    assert sorted(pages) == sorted(path.name for path in PAGES)
    front = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="https?://[^"]*\.(js|css)"', front), "a page would load from the network"


@pytest.mark.parametrize("page", [*ROOT_PAGES, *PAGES], ids=lambda path: path.name)
def test_relative_links_lead_to_files(page: Path):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    for target in targets:
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [*ROOT_PAGES, *PAGES], ids=lambda path: path.name)
def test_files_that_a_page_names_exist(page: Path):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for name in re.findall(r"`([A-Za-z0-9_.-]+/[A-Za-z0-9_./-]*)`", text):
        if name.startswith(MADE) or name in NOT_OURS:
            continue
        assert (ROOT / name).exists(), name


NOT_OURS = {"logs/slurm/", "carbon_24/train.csv", "config/sets.tsv", "eV/atom"}  # files that a user may have


def words_of_commands(text: str) -> Iterator[list[str]]:
    """Words of every shell command of a page's bash blocks and of its code spans, comments left out."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in [*blocks.splitlines(), *spans]:
        if line.split(" ")[0] in ("make", "snakemake", "unimat"):
            yield shlex.split(line, comments=True)


def targets_of_make() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def rules_of_workflow() -> set[str]:
    files = [ROOT / "workflow/Snakefile", *ROOT.glob("workflow/rules/*.smk")]
    return {name for path in files for name in re.findall(r"^rule (\w+):", path.read_text(encoding="utf-8"), re.M)}


HAND_WRITTEN = [
    *ROOT_PAGES,
    *(path for path in PAGES if path.name not in ("commands.md", "benchmarks.md", "faults.md")),
]


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=lambda path: path.name)
def test_commands_that_a_page_names_exist(page: Path):
    for words in words_of_commands(page.read_text(encoding="utf-8")):
        program, *rest = words
        if program == "make":
            assert set(rest) <= targets_of_make(), words
        elif program == "snakemake":
            check_snakemake(rest)
        elif rest and rest[0].islower():
            assert rest[0] in cli.COMMANDS, words
            check_flags(rest)


def check_snakemake(words: list[str]) -> None:
    """Targets are rules, and configurations and profiles are there (`mine.yaml` and its like are the user's)."""
    options = {"--configfile", "--profile", "--workflow-profile", "--report", "--set-resources", "--config"}
    words = list(words)
    while words:
        word = words.pop(0)
        if word in options | {"--forcerun"}:
            value = words.pop(0) if words else ""
            if value.startswith("config/"):
                assert (ROOT / value).is_file(), value
            elif word.endswith("profile") and value.islower():
                assert (ROOT / "profiles" / value.removeprefix("profiles/") / "config.yaml").is_file(), value
            elif word == "--forcerun":
                assert value in rules_of_workflow(), value
        elif not word.startswith("-"):
            assert word in rules_of_workflow(), word


def check_flags(words: list[str]) -> None:
    """The command takes the flags that are named; a command line that is whole is parsed as a whole."""
    name, *rest = words
    flags = {word for word in rest if word.startswith("--")}
    if flags:
        cli._parse([name, *rest])  # exits on a flag that the command does not know


def text_files() -> list[Path]:
    """Files of the repository that people read, by git where there is one."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    paths = (ROOT / line for line in listed.stdout.splitlines())
    return [path for path in paths if path.suffix in TEXT_SUFFIXES and path.is_file() and ".ci" not in path.parts]


def test_no_file_names_a_machine():
    """No absolute path of one machine's folders, no package index: pip's own configuration knows where packages are."""
    folders = re.compile(r"(?<![\w>}\])*.~])/(?:work|root|home|Users|mnt|srv|opt)/\w")
    index = re.compile(r"--(?:extra-)?index-url|--find-links")
    for path in text_files():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            place = f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
            assert not folders.search(line), place
            assert path == Path(__file__) or not index.search(line), place


def test_the_time_of_the_demo_is_the_measured_one_wherever_it_stands():
    """Measured by `make bench`; README has another machine's, and the two others say it in words."""

    def text(name: str) -> str:
        return (ROOT / name).read_text(encoding="utf-8")

    seconds = float(re.findall(r"^\| demo: total \| ([\d.,]+) \| s \|", text("docs/benchmarks.md"), re.MULTILINE)[0])
    ((minutes, rest),) = re.findall(r"it took (\d+) min (\d+) s after installation", text("README.md"))
    assert round(int(minutes) + int(rest) / 60) == round(seconds / 60)
    said = f"about {WORDS[round(seconds / 60)]} minutes on 2 cores"
    assert said in text("Makefile")
    assert said in text("config/config.yaml").splitlines()[0].lower()
