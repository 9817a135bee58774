"""The report of a large set: size of the page, seconds to make it, and seconds until a reader can use it in Chromium.

The set is made up, of the size and spread of an evaluation on MP-20: 10,000 crystals of 1 to 20 atoms, relaxed, judged,
some rejected or failed, and a test split of 9,046 that shares compositions with it. The alternatives: every geometry as
CIF text in the page, and every row of the table in the document at once.
"""

import argparse
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from harness import Figure, finish, peak_memory_mib, say
from pymatgen.io.cif import CifWriter

from unimat import crystal_table
from unimat.crystal_table import Crystal, CrystalTable, Rejected
from unimat.files import write_json
from unimat.materials.crystals.structures import reduced_formula, to_structure
from unimat.report.page import make_report
from unimat.report.run_files import read_run
from unimat.report.settings import ReportSettings

TARGET_MB = 20.0
N_TEST = 9046  # of MP-20
N_COMPOSITIONS = 4000
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run",
             "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]  # fmt: skip
PATIENCE = 600_000  # ms
SAMPLE = 100  # crystals whose CIFs are written to know the size of all


def compositions(rng: np.random.Generator) -> list[np.ndarray]:
    """Atomic numbers of cells like MP-20's: up to five elements and 20 atoms."""
    found = []
    for _ in range(N_COMPOSITIONS):
        elements = rng.choice(np.arange(1, 90), rng.integers(1, 6), replace=False)
        found.append(np.sort(rng.choice(elements, rng.integers(len(elements), 21))))
    return found


def crystal(rng: np.random.Generator, numbers: np.ndarray, name: str) -> Crystal:
    lengths = np.cbrt(20.0 * len(numbers)) * rng.uniform(0.7, 1.4, 3)
    lattice = np.diag(lengths) + rng.normal(0, 0.3, (3, 3))
    return Crystal(name, lattice, numbers, rng.random((len(numbers), 3)))


def write_run(folder: Path, n: int) -> None:
    """A run folder with the files that the report reads."""
    rng = np.random.default_rng(0)
    pool = compositions(rng)
    rows = [crystal(rng, pool[rng.integers(len(pool))], f"gen-{i:06d}") for i in range(n)]
    test = [crystal(rng, pool[rng.integers(len(pool))], f"mp-{i}") for i in range(N_TEST)]
    table = crystal_table.from_crystals(test, split="test")
    table = table.with_column("formation_energy_per_atom", rng.normal(-1, 0.8, len(test)), "eV/atom")
    crystal_table.write(table, folder / "dataset/test.parquet")
    write_json(folder / "dataset/card.json", {"name": "made_up"})
    place = folder / "sets/generated"
    made = crystal_table.from_crystals(rows, n_requested=n + n // 50)
    crystal_table.write(made, place / "crystals.parquet")
    refused = [Rejected(f"gen-x{i}", "sample", "no_atoms", "every slot decoded as null") for i in range(n // 50)]
    crystal_table.write_rejected(refused, place / "rejected.parquet")
    write_json(place / "sampling.json", {"settings": {"n": n, "steps": 256}})
    crystal_table.write(relaxed(rng, made), place / "relaxed.parquet")
    formulas = [reduced_formula(each.atomic_numbers) for each in rows]
    verdicts(rng, made, formulas).to_parquet(place / "verdicts.parquet", index=False)
    stability(rng, made, formulas).to_parquet(place / "stability.parquet", index=False)


def relaxed(rng: np.random.Generator, table: CrystalTable) -> CrystalTable:
    n = len(table)
    failed = rng.random(n) < 0.03
    found = table.with_column("converged", ~failed & (rng.random(n) < 0.9))
    found = found.with_column("n_steps", rng.integers(5, 300, n))
    return found.with_column("failure", ["not relaxed, overlapping_atoms: 0.3 Å" if bad else None for bad in failed])


def verdicts(rng: np.random.Generator, table: CrystalTable, formulas: list[str]) -> pd.DataFrame:
    n = len(table)
    valid = rng.random(n) < 0.85
    why = "composition: no oxidation states make it charge neutral"
    return pd.DataFrame({
        "material_id": table.material_ids, "formula": formulas, "n_atoms": table.n_atoms,
        "n_elements": pd.Series(formulas).str.count("[A-Z]"), "density": rng.normal(6, 2, n),
        "volume_per_atom": rng.normal(20, 4, n), "spacegroup_number": rng.integers(1, 231, n), "valid": valid,
        "unique": rng.random(n) < 0.95, "novel": rng.random(n) < 0.7, "reason": [None if ok else why for ok in valid],
    })  # fmt: skip


def stability(rng: np.random.Generator, table: CrystalTable, formulas: list[str]) -> pd.DataFrame:
    n = len(table)
    energy = rng.normal(0.15, 0.1, n)
    phases = [[{"entry_id": f"mp-{k}", "formula": formula, "amount": 1 / 3, "e_form_per_atom": -1.234}
               for k in rng.integers(1, 1_000_000, 3)] for formula in formulas]  # fmt: skip
    return pd.DataFrame({
        "material_id": table.material_ids, "formula": formulas, "n_atoms": table.n_atoms,
        "converged": rng.random(n) < 0.9, "energy_per_atom": energy - 6, "e_form_per_atom": energy - 1,
        "decomposition_energy": energy, "spacegroup_number": rng.integers(1, 231, n), "products": phases,
        "decomposition": "", "not_judged": None, "stable": energy < 0, "metastable": (energy >= 0) & (energy < 0.025),
        "unique": rng.random(n) < 0.95, "novel": rng.random(n) < 0.7,
    })  # fmt: skip


def browser_times(page_file: Path, executable: str, repeats: int = 3) -> dict[str, float]:
    """Shortest of several wall times, seconds."""
    from playwright.sync_api import sync_playwright

    times: dict[str, list[float]] = {"sorted": [], "filtered": [], "drawn": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS, timeout=PATIENCE)
        for _ in range(repeats):
            page = browser.new_page()
            page.set_default_timeout(PATIENCE)
            start = time.perf_counter()
            page.goto(page_file.as_uri(), wait_until="commit")
            page.locator("#crystal-list[data-ready]").wait_for(state="attached")
            page.get_by_role("button", name="Atoms").click()
            page.locator("th[aria-sort] button", has_text="Atoms").wait_for()
            times["sorted"].append(time.perf_counter() - start)
            start = time.perf_counter()
            page.locator("input[name=contains]").fill("O")
            page.locator("[role=status]", has_text="chosen from").wait_for()
            times["filtered"].append(time.perf_counter() - start)
            start = time.perf_counter()
            page.locator("#crystal-list tbody tr").first.click()
            page.locator("#crystal-view .view[data-drawn]").first.wait_for()
            times["drawn"].append(time.perf_counter() - start)
            page.close()
        browser.close()
    return {name: min(values) for name, values in times.items()}


def whole_table_time(folder: Path, n: int, executable: str) -> float:
    """Seconds until a page with all rows in its document is laid out and has answered a click."""
    from playwright.sync_api import sync_playwright

    values = ("SrTiO<sub>3</sub>", 5, "Pm-3m (221)", *["yes"] * 4, -3.5, 0.01, "stable")
    cells = "".join(f"<td>{each}</td>" for each in values)
    rows = "".join(f"<tr><th>gen-{i}</th>{cells}</tr>" for i in range(n))
    button = "<button onclick='this.textContent = document.body.offsetHeight'>click</button>"
    path = folder / "whole.html"
    path.write_text(f"<!doctype html>{button}<table>{rows}</table>", encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS, timeout=PATIENCE)
        page = browser.new_page()
        start = time.perf_counter()
        page.goto(path.as_uri(), timeout=PATIENCE)
        page.locator("button").click(timeout=PATIENCE)
        page.locator("button", has_text=re.compile(r"\d")).wait_for()
        seconds = time.perf_counter() - start
        browser.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000, help="crystals of the set (default: 10000)")
    parser.add_argument("--keep", type=Path, help="folder for the page, to look at")
    args = parser.parse_args()
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        sys.exit("no Chromium; apt-get install -y --no-install-recommends chromium")
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        write_run(folder / "run", args.n)
        say("run written")
        start = time.perf_counter()
        run = read_run(folder / "run")
        report = make_report(run, ReportSettings(best=4, crystals=args.n), folder / "report.html")
        built = time.perf_counter() - start
        page = folder / "report.html"
        page.write_text(report.html, encoding="utf-8")
        megabytes = page.stat().st_size / 1e6
        say(f"{megabytes:.1f} MB in {built:.1f} s")
        made = crystal_table.read(folder / "run/sets/generated/crystals.parquet").take(range(min(SAMPLE, args.n)))
        cifs = sum(len(str(CifWriter(to_structure(each)))) for each in made) / len(made)
        as_cif = megabytes + 2 * cifs * args.n / 1e6  # as generated and relaxed
        times = browser_times(page, executable)
        whole = whole_table_time(folder, args.n, executable)
    crystals = f"{args.n:,} crystals"
    figures = [
        Figure(f"page, {crystals}", megabytes, "MB", TARGET_MB, baseline=as_cif),
        Figure(f"page made, {crystals}", built, "s"),
        Figure(f"opened and sorted in Chromium, {crystals}", times["sorted"], "s", baseline=whole),
        Figure("filtered by element", times["filtered"], "s"),
        Figure("first crystal drawn, without a GPU", times["drawn"], "s"),
        Figure("peak memory of making it", peak_memory_mib(), "MiB"),
    ]
    finish("report", figures)


if __name__ == "__main__":
    main()
