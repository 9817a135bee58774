"""What the report says of its own numbers: whose energies they are, what the model saw, what counts as novel."""

import dataclasses

import pytest

from tests.report.report_run import write_run
from unimat.materials.relax.calculators import kind_of
from unimat.report.known import known_crystals
from unimat.report.run_files import read_run
from unimat.report.sections.browser import browser
from unimat.report.sections.caveats import caveats
from unimat.report.sections.run import what_was_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_run(tmp_path_factory.mktemp("results") / "demo"))


def with_engine(one, calculator: str):
    summary = one.stability_summary | {"energy_type": {"calculator": calculator, "functional": "PBE"}}
    return dataclasses.replace(one, stability_summary=summary)


def caveat_texts(run) -> dict[str, str]:
    section = caveats(run, run.primary())
    return dict(section.blocks[0].items)


GPAW = "GPAW 25.7.0 (PAW datasets 24.11.0)"


def test_a_set_judged_by_dft_is_not_told_to_be_without_it(run):
    sets = {name: with_engine(each, GPAW) for name, each in run.sets.items()}
    told = caveat_texts(dataclasses.replace(run, sets=sets))
    assert not any("Not DFT" in title for title in told)
    text = told["DFT is an approximation"]
    assert text.startswith(f"Energies come from first-principles calculations by {GPAW}.")
    assert "k-points" in text


def test_each_engine_of_a_run_is_told_of_its_own_sets(run):
    sets = {"generated": run.sets["generated"], "test": with_engine(run.sets["test"], GPAW)}
    told = caveat_texts(dataclasses.replace(run, sets=sets))
    assert "Energies of “generated” come from CHGNet" in told["Not DFT: “generated”"]
    assert "30 meV/atom" in told["Not DFT: “generated”"]
    assert "“test” come from first-principles" in told["DFT is an approximation: “test”"]


def test_an_unknown_calculator_is_called_neither(run):
    sets = {name: with_engine(each, "my_lab.potential") for name, each in run.sets.items()}
    (text,) = [each for each in caveat_texts(dataclasses.replace(run, sets=sets)).values() if "my_lab" in each]
    assert text == (
        "Energies come from my_lab.potential. The files do not say whether that is a first-principles calculation."
    )


INITIAL = {
    "source": "perov_5",
    "name": "perov_5",
    "licence": "Apache-2.0",
    "dataset": {"name": "perov_5", "title": "Perov-5", "licence": "MIT"},
    "initial": None,
}


def test_a_fine_tuned_run_names_its_starting_model_with_data_and_licences(run):
    moved = dataclasses.replace(run, training=run.training | {"initial": INITIAL})
    section = what_was_run(moved, moved.folder / "report.html")
    facts = dict(section.blocks[0].rows)
    assert facts["Starting model"] == "perov_5 (licence: Apache-2.0), trained on Perov-5 (licence: MIT)"
    text = caveat_texts(moved)["The model saw more crystals than novelty knows"]
    assert "Novelty was not judged against Perov-5 (licence: MIT)." in text
    assert "began with a model that was: perov_5." in text


def test_novelty_names_the_tables_that_it_was_judged_against(run):
    tables = [
        {"path": "results/demo/dataset/train.parquet", "name": "silicon_carbon", "split": "train", "n": 120},
        {"path": "results/demo/known/perov_5/train.parquet", "name": "perov_5", "split": "train", "n": 11356},
        {"path": "mine/icsd.parquet", "name": None, "split": None, "n": 7},
    ]
    one = run.sets["generated"]
    summary = one.stability_summary | {"novelty": {"known_tables": tables, "match_below": 0.1}}
    one = dataclasses.replace(one, stability_summary=summary)
    judged = dataclasses.replace(run, training=run.training | {"initial": INITIAL}, sets={"generated": one})
    words = "the training split and the training split of perov_5 and icsd.parquet"
    assert known_crystals(judged, one) == words
    assert f"Novel means: not in {words}" in caveat_texts(judged)
    assert "The model saw more crystals than novelty knows" not in caveat_texts(judged)
    assert words in browser(judged, one, 10).lead
    assert "E_d below 100 meV/atom" in browser(judged, one, 10).lead


def test_two_datasets_of_ones_own_are_two(run):
    """Both are called custom; the model saw the other one, and the run's own split says nothing of it."""
    begun = INITIAL | {"name": None, "source": "old/model.npz", "dataset": {"name": "custom", "source": "old_cifs"}}
    own = {"path": "train.parquet", "name": "custom", "source": "new_cifs", "split": "train", "n": 9}
    other = own | {"path": "old/train.parquet", "source": "old_cifs"}
    for tables, unjudged in (([own], True), ([own, other], False)):
        one = run.sets["generated"]
        summary = one.stability_summary | {"novelty": {"known_tables": tables}}
        one = dataclasses.replace(one, stability_summary=summary)
        moved = dataclasses.replace(
            run,
            card=run.card | {"name": "custom", "source": "new_cifs"},
            training=run.training | {"initial": begun},
            sets={"generated": one},
        )
        assert ("The model saw more crystals than novelty knows" in caveat_texts(moved)) == unjudged
    assert known_crystals(moved, one) == "the training split and the training split of old_cifs"


@pytest.mark.parametrize(
    ("calculator", "kind"),
    [
        ("VASP", "first principles"),
        ("VASP and GPAW", "first principles"),
        (GPAW, "first principles"),
        ("the publisher's DFT (AIRSS, 10 GPa)", "first principles"),
        ("Quantum ESPRESSO 7.3", "first principles"),
        ("CHGNet (chgnet 0.4.2)", "force field"),
        ("MACE-MP-0 (mace-torch 0.3.14, model medium)", "force field"),
        ("UMA (fairchem-core 2.3, model uma-s-1p1)", "force field"),
        ("VASP and CHGNet (chgnet 0.4.2)", "unknown"),
        ("ase.calculators.emt.EMT (ase 3.29.0)", "unknown"),
        ("Crystalline potential", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_calculator_is_of_one_kind_or_unknown(calculator: str, kind: str):
    assert kind_of({"calculator": calculator}) == kind
