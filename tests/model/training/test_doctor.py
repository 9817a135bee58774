"""What the doctor says of machines and settings, and that its figures are those of the run."""

import dataclasses
import os
import subprocess
from pathlib import Path

import jax
import pytest
import yaml

from tests.model.model_helpers import TINY_MODEL, TINY_TRAIN, write_tiny_dataset
from unimat.cli import main
from unimat.errors import UserError
from unimat.model.faithful import FAITHFUL
from unimat.model.machine import devices
from unimat.model.representation.encoded import read_encoding
from unimat.model.settings import EncodeSettings, ModelSettings, TrainSettings
from unimat.model.training import doctor

ROOT = Path(__file__).parents[3]
GIB = 2**30


@pytest.fixture(scope="module")
def encoding(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded")
    write_tiny_dataset(folder)
    return read_encoding(folder)


def said(capsys, *arguments):
    """Exit code and lines of `unimat doctor`."""
    try:
        code = main(["doctor", *map(str, arguments)])
    except SystemExit as end:
        code = end.code
    return code, capsys.readouterr().out.splitlines()


def test_a_sound_machine_and_settings_are_all_ok(tmp_path, capsys, encoding):
    write_tiny_dataset(tmp_path / "encoded")
    model = '{"channels": 8, "multipliers": [1], "blocks": 1, "head_dim": 8, "attention": "joint"}'
    recipe = '{"batch_size": 8, "steps": 8, "warmup_steps": 2}'
    options = ["--encoded", tmp_path / "encoded", "--model-settings", model, "--settings", recipe, "--work", tmp_path]
    code, lines = said(capsys, *options)
    assert code == 0
    assert [line.split(":")[0].split()[-1] for line in lines[:4]] == ["packages", "devices", "environment", "processes"]
    assert all(line.startswith("ok ") for line in lines)
    assert f"jax {jax.__version__}" in lines[0]
    assert any("batch size: 8 over 1 devices" in line for line in lines)


def test_profile_that_promises_a_tpu_and_a_launcher(tmp_path, capsys):
    resources = {"train": {"launcher": "no-such-program ssh NAME --command="}}
    profile = {"config": {"require_accelerator": "tpu"}, "set-resources": resources}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(profile))
    code, lines = said(capsys, "--profile", tmp_path)
    assert code == 1
    problems = [line for line in lines if line.startswith("problem")]
    assert len(problems) == 2
    assert "wants tpu: pip install 'unimat[tpu]'" in problems[0]
    assert problems[1].endswith("remedy: install no-such-program, or take launcher out of the profile")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--profile", "nowhere"], "profiles/nowhere/config.yaml does not exist"),
        (["--settings", '{"batchsize": 3}'], "train: unknown key 'batchsize'"),
        (["--settings", '{"fsdp": 3}'], "train.fsdp 3 does not divide the 1 devices; remedy: give one of 1"),
    ],
)
def test_bad_input_is_a_line_with_a_remedy(capsys, options, text):
    code, lines = said(capsys, *options)
    assert code == 1
    (problem,) = [line for line in lines if line.startswith("problem")]
    assert text in problem
    assert "; remedy: " in problem


def test_a_configuration_that_is_not_there_is_a_line_with_a_remedy(capsys):
    code, lines = said(capsys, "--config", "nowhere.yaml")
    assert (code, lines) == (
        1,
        ["problem  nowhere.yaml does not exist; give a configuration, such as config/config.yaml"],
    )


CONFIGURED = (
    "run: r\ndataset: {name: silicon_carbon}\nsets: {mine: {from: file, path: mine.cif}}\nmetrics: {sets: [mine]}\n"
)


@pytest.mark.parametrize(
    ("sections", "targets", "memory"),
    [
        # The compact network that ships, with the program itself; the defaults would be the network of the paper.
        ("train: {initial: perov_5, batch_size: 128}\n", [], "ok       memory: 1.0"),
        ("train: {initial: perov_5, batch_size: 128}\n", ["metrics"], "ok       memory: nothing is trained"),
        ("pretrained: perov_5\n", [], "ok       memory: nothing is trained: pretrained is perov_5"),
    ],
)
def test_memory_is_that_of_the_model_that_is_trained_and_none_where_none_is(
    tmp_path, monkeypatch, capsys, sections, targets, memory
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.cif").write_text("data_x\n")
    (tmp_path / "mine.yaml").write_text(CONFIGURED + sections)
    code, lines = said(capsys, "--config", "mine.yaml", *(["--targets", *targets] if targets else []))
    assert [line for line in lines if line.startswith(memory)], lines
    assert code == 0


def test_job_named_in_part_is_a_problem():
    findings = list(doctor.machine_findings({"UNIMAT_COORDINATOR": "a:1"}))
    assert "UNIMAT_COORDINATOR=a:1" in findings[2].text
    assert findings[3].remedy == "set all three, or none"


def test_state_is_counted_by_hand_and_a_step_needs_more(encoding):
    """Parameters, their average and two moments, in float32."""
    from unimat.model import networks

    layout = devices.layout(TINY_TRAIN)
    params = networks.build(TINY_MODEL, encoding).init(key=jax.random.key(0))
    size = 4 * sum(x.size for x in jax.tree.leaves(params))
    needs = doctor.needed(encoding, TINY_MODEL, TINY_TRAIN, layout)
    assert 4 * size < needs.state < 4 * size + 200
    assert needs.checkpoint == needs.state
    assert needs.step > 2 * size
    larger = doctor.needed(encoding, TINY_MODEL, dataclasses.replace(TINY_TRAIN, batch_size=80), layout)
    assert larger.step - 2 * size > 8 * (needs.step - 2 * size)


def test_estimate_is_of_the_compiler_s_order(encoding):
    layout = devices.layout(TINY_TRAIN)
    estimated = doctor.needed(encoding, TINY_MODEL, TINY_TRAIN, layout)
    compiled = doctor.needed(encoding, TINY_MODEL, TINY_TRAIN, layout, compile_step=True)
    assert compiled.how == "as compiled"
    assert 0.3 < estimated.step / compiled.step < 3


def test_memory_and_disk_that_do_not_suffice_are_problems(tmp_path):
    needs = doctor.Needs(8 * GIB, 25 * GIB, 2**60, "estimated")
    assert doctor.memory_finding(needs, 40 * GIB).remedy is None
    assert "model.remat" in doctor.memory_finding(needs, 32 * GIB).remedy
    assert doctor.memory_finding(needs, None).remedy is None
    assert doctor.disk_finding(tmp_path / "not" / "yet", 1).remedy is None
    assert doctor.disk_finding(tmp_path, needs.checkpoint).remedy == "make room, or name another working folder"


def test_dataset_that_is_not_encoded_yet_has_the_shape_of_its_settings():
    sections = yaml.safe_load((ROOT / "config/paper.yaml").read_text())["encode"]
    settings = EncodeSettings(slots=sections["slots"], lattice_lengths=FAITHFUL["encode"]["lattice_lengths"])
    assert doctor.imagined_encoding(settings).tensor_shape == (20, 9, 18)
    assert doctor.imagined_encoding(EncodeSettings(coordinates="cartesian")).lattice_size == 9


def test_lines_of_errors_end_with_their_remedy():
    finding = doctor.problem("settings", UserError("x is 3; y is 4; give one of them"))
    assert str(finding) == "problem  settings: x is 3; y is 4; remedy: give one of them"
    assert doctor.problem("settings", UserError("x is 3")).remedy


def test_condition_that_the_dataset_does_not_have_is_a_problem(encoding):
    model = ModelSettings(channels=8, conditions=("band_gap",))
    *_, last = doctor.settings_findings(encoding, model, TrainSettings(batch_size=8), Path())
    assert last.name == "settings"
    assert "band_gap" in str(last)


@pytest.fixture
def gcloud(tmp_path):
    """Folder with a stand-in for gcloud, which runs the command on two hosts, elsewhere."""
    lines = ["#!/bin/bash", 'echo "$1 $2 $3 $4 $5 $6 $7" >&2', 'for a in "$@"; do last=$a; done']
    lines += ['for host in 0 1; do (cd / && bash -c "${last#--command=}") || exit 1; done']
    (tmp_path / "gcloud").write_text("\n".join(lines) + "\n")
    (tmp_path / "gcloud").chmod(0o755)
    return tmp_path


def all_hosts(folder, *command, **variables):
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", **variables}
    script = ROOT / "profiles/tpu/all_hosts.sh"
    return subprocess.run([script, *command], env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_launcher_runs_the_command_on_every_host_word_by_word(gcloud):
    code = "echo $UNIMAT_COORDINATOR $PWD; printf '%s|' \"$@\"; echo"
    words = ["bash", "-c", code, "x", '{"steps": 3, "a": "b c"}', "it's"]
    done = all_hosts(gcloud, *words, UNIMAT_TPU_NAME="pod", UNIMAT_TPU_ZONE="here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"auto {gcloud}", '{"steps": 3, "a": "b c"}|it\'s|'] * 2
    assert done.stderr.strip() == "compute tpus tpu-vm ssh pod --zone=here --worker=all"


def test_launcher_fails_with_the_command_and_without_a_name(gcloud):
    assert all_hosts(gcloud, "false", UNIMAT_TPU_NAME="pod", UNIMAT_TPU_ZONE="here").returncode != 0
    unnamed = all_hosts(gcloud, "true", UNIMAT_TPU_NAME="", UNIMAT_TPU_ZONE="here")
    assert unnamed.returncode != 0
    assert "name the TPU pod" in unnamed.stderr
