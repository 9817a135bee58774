"""A recipe for crystals of one's own: what a configuration leaves open where the dataset is nobody's benchmark.

The defaults of the settings are the paper's (Table 4): 200,000 steps of 512 crystals on 32 TPU chips. A few hundred
crystals on one core want a compact network and some thousand small steps. Nothing here imports JAX.
"""

from collections.abc import Mapping
from typing import Any

BATCH = 32
# The compact network's recipe for MP-20 (config/reproduction/mp_20.yaml), smaller in every direction.
RECIPE: dict[str, dict[str, Any]] = {
    "encode": {"lattice_lengths": "per_atom"},
    "model": {"network": "compact", "channels": 96, "layers": 4, "head_dim": 32},
    "train": {
        "batch_size": BATCH,
        "steps": 3000,
        "learning_rate": 1e-3,
        "warmup_steps": 100,
        "learning_rate_decay": "cosine",
        "gradient_clip": 1.0,
        "ema_decay": 0.998,
        "noise_levels": "log_normal",
        "noise_mean": -0.6,
        "pairing": "nearest",
        "occupancy_orders": 4,
        "validate_every": 500,
        "checkpoint_every": 500,
    },
    "sample": {"steps": 100},
}


def wants_recipe(values: Mapping[str, Any]) -> bool:
    """Whether a configuration has crystals of its own, and says of no other network or model that it takes it."""
    model = values.get("model") or {}
    return (
        (values.get("dataset") or {}).get("name") == "custom"
        and not values.get("pretrained")
        and not values.get("faithful")
        and (values.get("train") or {}).get("initial") is None
        and (values.get("encode") or {}).get("coordinates", "fractional") == "fractional"
        and (not model or model.get("network") == "compact")
    )


def with_recipe(values: Mapping[str, Any], n_train: int | None) -> dict[str, Any]:
    """The configuration with the recipe's keys where it has none; a batch is no larger than the training split.

    Args:
        n_train: most crystals that the split can have; None if nobody knows yet.
    """
    found = dict(values)
    for section, recipe in RECIPE.items():
        found[section] = recipe | (values.get(section) or {})
    steps = found["train"]["steps"]
    if isinstance(steps, int) and "warmup_steps" not in (values.get("train") or {}):
        found["train"] = found["train"] | {"warmup_steps": min(RECIPE["train"]["warmup_steps"], max(steps, 0))}
    if n_train and "batch_size" not in (values.get("train") or {}):
        found["train"] = found["train"] | {"batch_size": min(BATCH, n_train)}
    return found
