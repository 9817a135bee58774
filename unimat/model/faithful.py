"""The paper's own form of every choice that it names: what `faithful: true` fixes, and who contradicts it.

Form, not size: channels, blocks, batch, learning rate and numbers of steps stay free, since Table 4's ask for 32 TPU
chips; their defaults are Table 4's. Coordinates may be fractional or Cartesian, since section 2.1 names both. Nothing
here imports JAX.
"""

from pathlib import Path
from typing import Any

from unimat.errors import UserError
from unimat.settings import given

FAITHFUL: dict[str, dict[str, Any]] = {
    "encode": {"lattice_lengths": "raw"},  # section 2.1: (a, b, c) themselves
    "model": {
        "network": "unet",
        "coordinate_form": "raw",  # section 2.1: x, y, z, and null at (-1, -1, -1)
        "coords_scale": 1.0,
        "fourier_features": 0,
        "displacement_features": 0,
        "attention": "factored",  # section 6: "as in standard 3D U-Net", that of video diffusion
        "slot_kernel": 3,  # section 6: "3D convolution"
        "grid_kernel": 3,
        "cell_embedding": False,
        "slot_embedding": False,
        "lattice_embedding": False,  # section 2.2: concatenated with the locations, and no more
        "prediction": "epsilon",  # Table 4, as are the next two
        "log_snr_min": -20.0,
        "log_snr_max": 20.0,
    },
    "train": {
        "beta1": 0.9,  # Table 4, as are the next two
        "beta2": 0.99,
        "weight_decay": 0.0,
        "learning_rate_decay": "none",
        "gradient_clip": None,
        "shuffle_slots": "all",  # section 2.1: "random shuffling"
        "lattice_weight": 1.0,
        "null_weight": 1.0,  # section 2.2: plain mean squared error
        "loss_weight": "none",
        "noise_levels": "cosine",  # Table 4
    },
    "sample": {"sampler": "ancestral", "gamma": 0.1, "mask_slots": False},  # Equation 1 and Table 4
}


def faithful_section(name: str, source: str | Path | dict[str, Any] | None, where: str = "") -> dict[str, Any]:
    """Settings of a section with the paper's form filled in.

    Args:
        source: as for `load_settings`. where: what to call the section in an error; its name if empty.

    Raises:
        UserError: if a key of it contradicts the paper.
    """
    where = where or name
    values = given(source, where)
    for key, fixed in FAITHFUL.get(name, {}).items():
        if values.get(key) not in (None, fixed):
            raise UserError(
                f"{where}.{key} is {values[key]!r}, and faithful fixes it at {fixed!r}, the paper's; take one of the "
                "two out"
            )
    return values | FAITHFUL.get(name, {})


def faithful_sections(values: dict[str, Any]) -> dict[str, Any]:
    """A whole configuration with the paper's form in every section, and in the sets that its model makes.

    Raises:
        UserError: if a key of it contradicts the paper.
    """
    for name, options in values.get("sets", {}).items():
        if options.get("from") == "sample":
            faithful_section("sample", options, f"sets.{name}")
    return values | {name: faithful_section(name, values.get(name)) for name in FAITHFUL}
