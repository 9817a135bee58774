"""Tensors that CDVAE and DiffCSP save."""

import re
import sys

import numpy as np
import pytest

from tests.materials.datasets.readers.test_readers import ROCK_SALT, SILICON, read
from unimat.errors import UserError
from unimat.materials.datasets.readers import records_of


def tensors(torch, n_evaluations=None):
    structures = (ROCK_SALT, SILICON)
    content = {
        "frac_coords": torch.tensor(np.concatenate([s.frac_coords for s in structures]), dtype=torch.float32),
        "atom_types": torch.tensor([site.specie.Z for s in structures for site in s]),
        "num_atoms": torch.tensor([len(s) for s in structures]),
        "lengths": torch.tensor([s.lattice.abc for s in structures]),
        "angles": torch.tensor([s.lattice.angles for s in structures]),
    }
    return {k: v if n_evaluations is None else torch.stack([v] * n_evaluations) for k, v in content.items()}


def test_tensors_of_cdvae_and_diffcsp(tmp_path):
    import torch

    torch.save(tensors(torch), tmp_path / "gen.pt")
    crystals = read(tmp_path / "gen.pt")
    assert list(crystals) == ["gen-0", "gen-1"]
    np.testing.assert_allclose(crystals["gen-0"].frac_coords, ROCK_SALT.frac_coords, atol=1e-7)
    np.testing.assert_allclose(crystals["gen-1"].lattice, SILICON.lattice.matrix, atol=1e-5)
    torch.save(tensors(torch, 2), tmp_path / "gen.pt")
    assert list(read(tmp_path / "gen.pt")) == ["gen-0-0", "gen-0-1", "gen-1-0", "gen-1-1"]


def test_tensors_that_are_not_plain_or_not_whole_are_told(tmp_path):
    import torch

    content = tensors(torch)
    torch.save({**content, "lengths": content["lengths"], "num_atoms": content["num_atoms"] + 1}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="num_atoms sum to 18, but there are 16 atoms"):
        list(records_of(tmp_path / "a.pt"))
    torch.save({"frac_coords": content["frac_coords"]}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="no tensor 'num_atoms'"):
        list(records_of(tmp_path / "a.pt"))
    torch.save(ROCK_SALT, tmp_path / "a.pt")
    with pytest.raises(UserError, match="not readable as plain tensors"):
        list(records_of(tmp_path / "a.pt"))


FAULTS = (
    "lengths of one",
    "lengths of four",
    "negative",
    "fractions",
    "number",
    "scores",
    "halves",
    "flat",
    "plane",
    "radians",
)


def changed(torch):
    """Name of a fault: the tensors that have it, and what is told."""
    good = tensors(torch)
    return {
        "lengths of one": (
            {"lengths": good["lengths"][:1]},
            "lengths has the shape (1, 1, 3), the other tensors need (1, 2, 3)",
        ),
        "lengths of four": ({"lengths": torch.cat([good["lengths"]] * 2)}, "lengths has the shape (1, 4, 3)"),
        "negative": ({"num_atoms": torch.tensor([-8, 24])}, "num_atoms of shape (1, 2) are not whole numbers"),
        "fractions": ({"num_atoms": torch.tensor([7.6, 8.4])}, "num_atoms of shape (1, 2) are not whole numbers"),
        "number": ({"num_atoms": torch.tensor(16)}, "num_atoms has 0 axes"),
        "scores": ({"atom_types": torch.rand(16, 100)}, "(atomic numbers, not scores)"),
        "halves": ({"atom_types": good["atom_types"] + 0.5}, "atom_types of shape (1, 16) are not whole numbers"),
        "flat": ({"frac_coords": good["frac_coords"].ravel()}, "frac_coords has the shape (1, 48)"),
        "plane": ({"frac_coords": good["frac_coords"][:, :2]}, "frac_coords has the shape (1, 16, 2)"),
        "radians": ({"angles": torch.deg2rad(good["angles"])}, "these are radians, save degrees"),
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_tensors_that_do_not_fit_each_other_are_told(tmp_path, fault):
    import torch

    change, message = changed(torch)[fault]
    torch.save({**tensors(torch), **change}, tmp_path / "a.pt")
    with pytest.raises(UserError, match=re.escape(message)):
        list(records_of(tmp_path / "a.pt"))


@pytest.mark.parametrize("kind", ["bfloat16", "double", "requires_grad_", "to_sparse"])
def test_tensors_of_other_kinds(tmp_path, kind):
    import torch

    content = tensors(torch)
    content["frac_coords"] = getattr(content["frac_coords"], kind)()
    torch.save(content, tmp_path / "a.pt")
    np.testing.assert_allclose(read(tmp_path / "a.pt")["a-0"].frac_coords, ROCK_SALT.frac_coords, atol=1e-7)


def test_tensors_without_torch_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a.pt").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"needs torch; pip install 'unimat\[chgnet\]'"):
        list(records_of(tmp_path / "a.pt"))
