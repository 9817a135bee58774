"""The machinery of the engine `gpaw`, with a calculator that takes no time."""

import pytest
from ase.calculators.emt import EMT

from unimat.materials.relax.gpaw import inputs as gpaw_inputs
from unimat.materials.relax.gpaw.job import GpawMaker


class CountingEMT(EMT):
    """ASE's effective medium theory, which counts its calculations and can be cut off after some, as by a signal."""

    calls = 0
    allowed: int | None = None

    def calculate(self, *args, **kwargs):
        CountingEMT.calls += 1
        if self.allowed is not None and CountingEMT.calls > self.allowed:
            raise KeyboardInterrupt
        super().calculate(*args, **kwargs)


@pytest.fixture
def instead_of_gpaw(monkeypatch) -> type[CountingEMT]:
    """The engine's stages with EMT in place of GPAW, and PAW sets for Cu and Al."""
    CountingEMT.calls, CountingEMT.allowed = 0, None
    monkeypatch.setattr(GpawMaker, "_get_calculator", lambda self, atoms=None: CountingEMT())
    monkeypatch.setattr(gpaw_inputs, "check_installed", lambda: None)
    monkeypatch.setattr("unimat.materials.relax.gpaw.engine.energy_type", lambda settings: {"calculator": "EMT"})
    missing = lambda structure, settings: sorted({each.symbol for each in structure.elements} - {"Cu", "Al"})  # noqa: E731
    monkeypatch.setattr(gpaw_inputs, "elements_without_set", missing)
    return CountingEMT
