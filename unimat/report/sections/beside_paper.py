"""The run's numbers under the paper's own, for the datasets that the paper reports on, and why they differ."""

from unimat.report.blocks import Block, Bullets, Missing, Section, Table
from unimat.report.partners import is_test_split
from unimat.report.published_figures import DIFFERENCES, PROXIES, SOURCE, STABILITIES, TRAINING, Proxy
from unimat.report.quantities import MISSING, dig, energy, energy_label, millis, number, percent, share
from unimat.report.run_files import Comparison, RunFiles, SetFiles
from unimat.report.sections.stability import engine_of, hull_name, threshold

TITLE = "Beside the paper’s values"
DATASETS = {"mp_20": "MP-20", "perov_5": "Perov-5", "carbon_24": "Carbon-24"}
RATES = {"structure_valid": "Structure valid", "composition_valid": "Composition valid",
         "cov_recall": "COV-R", "cov_precision": "COV-P"}  # fmt: skip
DISTANCES = {"density": "density (g/cm³)", "energy": "energy (eV/atom)", "n_elements": "elements"}
AVERAGES = {"amsd_recall": "AMSD-R", "amcd_recall": "AMCD-R", "amsd_precision": "AMSD-P", "amcd_precision": "AMCD-P"}
OURS = {"density": "density", "energy": "energy_per_atom", "n_elements": "n_elements"}


def beside_paper(run: RunFiles) -> list[Section]:
    """Tables 1, 2, 3 and 5 with the run's rows; nothing for a dataset that the paper does not report on."""
    dataset = str((run.card or {}).get("name"))
    if dataset not in PROXIES:
        return []
    sampled = [each for each in run.sets.values() if _unconditional(each)]
    blocks: list[Block] = [
        *_proxies(dataset, sampled),
        *_differences(run, dataset),
        *_stabilities(run, dataset, sampled),
    ]
    if len(blocks) == 1 and isinstance(blocks[0], Missing):
        return [Section("paper", TITLE, "", blocks)]
    blocks.append(Bullets(_what_differs(run, dataset, sampled)))
    lead = f"Rows of the paper ({SOURCE}) for {DATASETS[dataset]}, and this run’s below them. Read what differs first."
    return [Section("paper", TITLE, lead, blocks)]


def _unconditional(one: SetFiles) -> bool:
    return one.sampling is not None and not one.sampling.get("obeyed")


def _proxies(dataset: str, sampled: list[SetFiles]) -> list[Block]:
    """Table 1, and Table 5 without the coverage that Table 1 has too."""
    papers = {f"{name}, paper": _paper(row) for name, row in PROXIES[dataset].items()}
    ours = {f"{each.name}, this run": _ours(each) for each in sampled if (each.metrics or {}).get("cdvae")}
    if not ours:
        text = "No row of this run for Tables 1 and 5: no unconditional sampled set has a metrics.json."
        return [Missing(f"{text} `unimat metrics` makes it.")]
    rows = {**papers, **ours}
    n = len(RATES) + len(DISTANCES)
    averages = [[name, *cells[n:]] for name, cells in rows.items() if set(cells[n:]) != {MISSING}]
    columns = ("Model", *RATES.values(), *(f"Distance, {each}" for each in DISTANCES.values()))
    caption = "Table 1: CDVAE’s metrics; distances of distributions are Wasserstein’s"
    return [
        Table(caption, columns, [[name, *cells[:n]] for name, cells in rows.items()]),
        Table("Table 5: average minimum distances of fingerprints", ("Model", *AVERAGES.values()), averages),
    ]


def _paper(row: Proxy) -> list[str]:
    """In the order of rates, distances and averages; numbers as printed there."""
    rates = [getattr(row, key) for key in RATES]
    others = [getattr(row, key) for key in (*DISTANCES, *AVERAGES)]
    return [*(MISSING if each is None else percent(each) for each in rates), *(number(each, 4) for each in others)]


def _ours(one: SetFiles) -> list[str]:
    """CDVAE's mode of the set's metrics, in the order of `_paper`."""
    mode = (one.metrics or {})["cdvae"]
    rates, coverage = mode.get("rates") or {}, mode.get("coverage") or {}
    told = [share(rates.get(key) or coverage.get(key)) for key in RATES]
    distances = [((mode.get("distributions") or {}).get(OURS[key]) or {}).get("wasserstein") for key in DISTANCES]
    averages = [(coverage.get(key) or {}).get("value") for key in AVERAGES]
    return [*(str(each or MISSING) for each in told), *(number(each) for each in (*distances, *averages))]


def _differences(run: RunFiles, dataset: str) -> list[Block]:
    if dataset not in DIFFERENCES:
        return []
    ours = [each for each in run.comparisons if _like_table_2(run, each) and each.summary.get("n_pairs")]
    if not ours:
        return []
    rows = [[f"{each.a}, {each.b}, paper", energy(each.delta_e_form, True), percent(each.reduction_rate), MISSING]
            for each in DIFFERENCES[dataset]]  # fmt: skip
    for each in ours:
        summary = each.summary
        rate = share(summary.get("reduction_rate"), summary.get("n_pairs"))
        delta = energy(dig(summary.get("delta_e_form"), "value"), True)
        rows.append([f"{summary.get('a')}, {summary.get('b')}, this run", delta, str(rate or MISSING),
                     number(summary.get("n_pairs"))])  # fmt: skip
    columns = ("A, B", "ΔE_f (eV/atom)", "Reduction rate", "Pairs")
    return [Table("Table 2: formation energies of A against B, by composition", columns, rows)]


def _like_table_2(run: RunFiles, one: Comparison) -> bool:
    """A sampled set against the test split or against another set that is no part of the dataset."""
    a, b = (run.sets.get(str(one.summary.get(side))) for side in "ab")
    if a is None or b is None or not _unconditional(a):
        return False
    return is_test_split(b) or (b.crystals is not None and not b.crystals.metadata.get("split"))


def _stabilities(run: RunFiles, dataset: str, sampled: list[SetFiles]) -> list[Block]:
    judged = [each for each in sampled if each.stability_summary]
    if dataset not in STABILITIES or not judged:
        return []
    rows = []
    for name, row in STABILITIES[dataset].items():
        paper = f"{name}, paper"
        rows.append(
            [paper, "Materials Project, July 2021", "not said", number(row.stable), number(row.metastable), "–"]
        )
        rows.append([paper, "GNoME, 2.2 million", "not said", number(row.stable_gnome), MISSING, MISSING])
    for each in judged:
        stats = each.stability_summary or {}
        for one in stats.get("references") or [stats]:
            stable, metastable = (share(one.get(key), each.n_generated) for key in ("stable", "metastable"))
            both = None if stable is None or metastable is None else stable.count + metastable.count
            new = share(one.get("stable_unique_novel"), each.n_generated)
            rows.append([f"{each.name}, this run", f"“{one.get('reference')}”", number(each.n_generated),
                         number(stable and stable.count), number(both), number(new and new.count)])  # fmt: skip
    columns = ("Model", "Hull", "Generated", "Stable, E_d < 0", f"E_d < {millis(threshold(judged[0]))}",
               "Stable, unique and novel")  # fmt: skip
    return [Table("Table 3: numbers of crystals, not rates", columns, rows, (0, 1))]


def _what_differs(run: RunFiles, dataset: str, sampled: list[SetFiles]) -> list[tuple[str, str]]:
    """Each reason for which a row of this run is not a row of the paper."""
    items = [("Training", _training(run))]
    if (run.card or {}).get("complete") is False:
        items.append(("Dataset", "It is not complete here: see the data card. The paper had all of it."))
    if sampled:
        told = ", ".join(f"{each.name}: {number(each.n_generated)}" for each in sampled)
        text = "the paper does not say how many. CDVAE generated 10,000, and coverage of the reference grows with them."
        items.append(("Crystals generated", f"{told}; {text}"))
    types = [(each.metrics or {}).get("energy_type") for each in sampled]
    predictor = next((energy_label(each) for each in types if each), None)
    ours = f"by {predictor} here" if predictor else "not computed here"
    items.append(("Energy distances", f"By CDVAE’s own property model in the paper, {ours}."))
    text = "CDVAE’s rules, here with the versions of SMACT and matminer that the page names; the paper names none."
    items.append(("Validity and coverage", text))
    first = next((each for each in sampled if each.stability_summary), None)
    if dataset in STABILITIES and first is not None:
        items.append(("Energies of Tables 2 and 3", f"By VASP in the paper, by {engine_of(first, full=True)} here."))
        text = (
            f"The Materials Project of July 2021, and GNoME’s 2.2 million, in the paper; {hull_name(run, first)} here."
        )
        items.append(("Hull of Table 3", f"{text} The paper counts novel crystals, by a rule it does not give."))
    return items


def _training(run: RunFiles) -> str:
    steps, batch = dig(run.training, "steps"), dig(run.training, "batch_size")
    ours = f"{number(steps)} steps of {number(batch)} crystals here" if steps else "not recorded here"
    return f"{TRAINING['steps']:,} steps of {TRAINING['batch_size']} crystals in the paper, {ours}."
