"""Tensors that CDVAE and DiffCSP save."""

import sys

import numpy as np
import pytest

from tests.test_readers import ROCK_SALT, SILICON, read
from unimat.errors import UserError
from unimat.materials.readers import records_of


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


def test_tensors_without_torch_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "a.pt").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"needs torch; pip install 'unimat\[chgnet\]'"):
        list(records_of(tmp_path / "a.pt"))
