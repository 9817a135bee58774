import dataclasses
import subprocess
import sys

import pytest

from unimat.errors import UserError
from unimat.model.settings import EncodeSettings, ModelSettings, SampleSettings, TrainSettings
from unimat.settings import as_dict, differences, load_settings

KINDS = {"encode": EncodeSettings, "model": ModelSettings, "train": TrainSettings, "sample": SampleSettings}


def test_defaults_are_table_4():
    model, train, sample = ModelSettings(), TrainSettings(), SampleSettings()
    assert (model.channels, model.multipliers, model.blocks) == (256, (1, 2, 4), 3)
    assert (model.attention_resolutions, model.head_dim, model.dropout) == ((1, 3, 9), 64, 0.1)
    assert (model.prediction, model.log_snr_min, model.log_snr_max) == ("epsilon", -20, 20)
    assert (train.beta1, train.beta2, train.learning_rate, train.weight_decay) == (0.9, 0.99, 1e-4, 0)
    assert (train.batch_size, train.ema_decay, train.steps) == (512, 0.9999, 200_000)
    assert (sample.steps, sample.gamma) == (256, 0.1)


@pytest.mark.parametrize("kind", KINDS.values())
def test_settings_survive_json(kind):
    assert load_settings(kind, as_dict(kind())) == kind()


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (ModelSettings, {"chanels": 8}, "unknown key 'chanels'"),
        (ModelSettings, {"dropout": 1.5}, "dropout must lie in"),
        (ModelSettings, {"attention": "all"}, "'all' is not one of 'joint', 'factored'"),
        (ModelSettings, {"multipliers": []}, "multipliers"),
        (ModelSettings, {"log_snr_min": 30}, "log_snr_min"),
        (ModelSettings, {"fourier_features": 2}, "coordinate_form raw"),
        (TrainSettings, {"batch_size": 0}, "batch_size must be above 0"),
        (TrainSettings, {"steps": 10}, "warmup_steps must lie in"),
        (SampleSettings, {"gamma": -1}, "gamma must lie in"),
        (EncodeSettings, {"elements": ["C"], "rows": [1]}, "give one of them"),
        (EncodeSettings, {"slots": 0}, "slots must be above 0"),
    ],
)
def test_bad_settings_are_one_line_that_names_them(kind, values, message):
    with pytest.raises(UserError, match=message) as caught:
        load_settings(kind, values)
    assert "\n" not in str(caught.value)


def test_differences_name_each_setting():
    ours, theirs = (as_dict(dataclasses.replace(ModelSettings(), channels=c)) for c in (64, 128))
    assert differences({"model": ours}, {"model": theirs}) == ["model.channels: 64 here, 128 there"]


def test_settings_load_without_jax():
    code = "import sys, unimat.model.settings; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_heads_of_a_compact_network_share_its_channels_out():
    with pytest.raises(UserError, match="channels 96 cannot be shared out among heads of head_dim 64"):
        load_settings(ModelSettings, {"network": "compact", "channels": 96}, "model")
    load_settings(ModelSettings, {"network": "compact", "channels": 96, "head_dim": 32}, "model")
