"""CHGNet with one backward pass for forces and stress."""

from pathlib import Path
from typing import Any

import torch
from chgnet.model import CHGNet
from chgnet.model.dynamics import CHGNetCalculator

from unimat.materials.relax.force_fields.known import FORCE_FIELDS

GPA = 160.21766208  # of one eV/Å^3, as CHGNet has it


class OnePassCHGNet(CHGNet):
    """The same network and numbers.

    CHGNet differentiates the energy twice, by positions and by strain, and keeps both derivatives differentiable, as
    training wants it; a relaxation needs neither.
    """

    def _compute(
        self, g: Any, *, compute_force: bool = False, compute_stress: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        prediction = super()._compute(g, compute_force=False, compute_stress=False, **kwargs)
        energy = prediction["e"] * prediction["atoms_per_graph"] if self.is_intensive else prediction["e"]
        by = [*(g.atom_positions if compute_force else []), *(g.strains if compute_stress else [])]
        gradients = torch.autograd.grad(energy.sum(), by) if by else ()
        n_graphs = len(g.volumes)
        if compute_force:
            prediction["f"] = [-each for each in gradients[:n_graphs]]
        if compute_stress:
            pairs = zip(gradients[-n_graphs:], g.volumes, strict=True)
            prediction["s"] = [each / volume * GPA for each, volume in pairs]
        prediction["e"] = prediction["e"].detach()
        return prediction


def load(model: str | None, device: str | None) -> OnePassCHGNet:
    """CHGNet of a file, or a pretrained one of the package by its name."""
    if model and Path(model).is_file():
        return OnePassCHGNet.from_file(model)
    return OnePassCHGNet.load(model_name=model or str(FORCE_FIELDS["chgnet"].model), use_device=device, verbose=False)


def calculator(model: str | None = None, use_device: str | None = None, **kwargs: Any) -> CHGNetCalculator:
    """ASE calculator; isolated atoms are told by the cell's volume, not by a line on stderr at each step."""
    network = load(model, use_device)
    return CHGNetCalculator(network, use_device=use_device, **{"on_isolated_atoms": "ignore", **kwargs})
