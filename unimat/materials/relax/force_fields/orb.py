"""ORB's calculator, which atomate2 does not name, as one call with the name of a pretrained model."""

from typing import Any


def orb_calculator(model: str, device: str | None = None, **kwargs: Any) -> Any:
    """ASE calculator of a pretrained ORB model, e.g. ``orb-v3-conservative-inf-mpa``.

    Raises:
        KeyError: if orb-models has no model of that name.

    Source: the readme of orb-models, which loads a network and wraps it.
    """
    from orb_models.forcefield import pretrained

    try:
        from orb_models.forcefield.inference.calculator import ORBCalculator  # since 0.6
    except ModuleNotFoundError:
        from orb_models.forcefield.calculator import ORBCalculator
    where = {"device": device} if device else {}
    network = pretrained.ORB_PRETRAINED_MODELS[model](**where)
    if isinstance(network, tuple):  # since 0.6 with the adapter that turns atoms into graphs
        network, kwargs["atoms_adapter"] = network
    return ORBCalculator(network, **where, **kwargs)
