"""Numbers, texts and drawings of the report against hand-written values."""

import re

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from unimat.report.crystals import crystal_picture, drawn_repeats, element_colours
from unimat.report.figures import decomposition_figure, distribution_figure, pairs_figure, series_colours
from unimat.report.quantities import Share, dig, energy, energy_label, number, percent, rich, share, spacegroup_symbol
from unimat.report.svg import figure_file, inline_figure, prefix_ids


def test_wilson_interval_has_the_published_values():
    # Newcombe, Statist. Med. 17, 857 (1998), Table I, method 3 (Wilson without continuity correction).
    for count, of, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert Share(count, of).interval() == pytest.approx((low, high), abs=1e-4)
    assert Share(0, 0).interval() is None


def test_rates_are_never_rounded_to_none_or_all():
    assert [percent(rate) for rate in (0, 1, 0.123, 1e-5, 0.99999)] == ["0 %", "100 %", "12.3 %", "< 0.1 %", "> 99.9 %"]
    assert str(Share(1200, 9800)) == "1,200 of 9,800 (12.2 %)"
    assert str(Share(0, 0)) == "0 of 0"
    assert share({"count": 3, "of": 4}) == Share(3, 4)
    assert share(3, 4) == Share(3, 4)
    assert share({"count": 3}) is None
    assert share(True, 4) is None


def test_energies_and_numbers_as_printed():
    assert energy(-0.0612) == "−0.061"
    assert energy(0.0, sign=True) == "+0.000"
    assert energy(float("nan")) == "–"
    assert [number(value) for value in (12345, 1234.5, 0.012345, None)] == ["12,345", "1,234", "0.0123", "–"]
    label = {"calculator": "VASP", "functional": "PBE", "corrections": None}
    assert energy_label(label) == "VASP"
    assert energy_label(label, full=True) == "VASP; functional: PBE"
    assert "do not name" in energy_label(None)


def test_symbols_and_subscripts():
    assert spacegroup_symbol("P6_3/mmc") == "P6₃/mmc"
    assert rich(spacegroup_symbol("F-43m")) == 'F<span class="bar">4</span>3m'
    assert rich("E_d < 0 & `x`") == "<i>E</i><sub>d</sub> &lt; 0 &amp; <code>x</code>"
    assert rich("ΔE_f(a, b)") == "Δ<i>E</i><sub>f</sub>(a, b)"


def test_dig_finds_the_outermost_value():
    assert dig({"a": {"seed": 1}, "seed": 2}, "seed") == 2
    assert dig({"a": {"b": {"seed": 0}}}, "seed") == 0
    assert dig(None, "seed") is None


def test_ids_of_two_figures_never_meet():
    assert prefix_ids('<g id="a" clip-path="url(#b)"><use xlink:href="#c"/></g>', "x") == (
        '<g id="x-a" clip-path="url(#x-b)"><use xlink:href="#x-c"/></g>'
    )


def test_inline_figures_follow_the_theme_and_files_do_not():
    figure = distribution_figure({"a <$x_1$>": np.arange(20.0), "test": np.arange(10.0)}, "test", "density (g/cm³)")
    inline = inline_figure(figure, "one", 'a "label"')
    assert "var(--series-1)" in inline
    assert "a &lt;$x_1$&gt;" in inline
    assert 'aria-label="a &quot;label&quot;"' in inline
    assert "<style" not in inline
    assert "font-family" not in inline
    text = figure_file(figure)
    assert "var(--" not in text
    assert "#1f5fa8" in text
    assert text == figure_file(figure)
    assert "<dc:date>" not in text


def test_the_reference_is_grey_whatever_the_order():
    assert series_colours(["generated", "test"], "test") == {"generated": "series-1", "test": "series-2"}
    assert series_colours(["test", "generated", "airss"], "test")["airss"] == "series-3"


def test_bars_of_decomposition_energies_hold_every_crystal():
    values = np.array([-0.3, -0.01, 0.0, 0.01, 0.03, 0.5, 9.0])
    figure = decomposition_figure({"set": (values, 9)}, 0.025, 2.0, None)
    bars = [patch for patch in figure.axes[0].patches if patch.get_width() > 0]
    assert sum(bar.get_height() for bar in bars) == len(values)
    assert "7 of 9 crystals have" in figure.axes[0].get_title(loc="left")
    stable = sum(bar.get_height() for bar in bars if bar.get_x() + bar.get_width() <= 1e-9)
    assert stable == 2


def test_pairs_below_zero_are_drawn_left_of_zero():
    differences = np.array([-0.2, -0.1, 0.05, 0.3, 5.0])
    figure = pairs_figure(differences, "a", "b", {"value": 0.1, "low": 0.0, "high": 0.2})
    bars = [patch for patch in figure.axes[0].patches if hasattr(patch, "get_height") and patch.get_height() >= 1]
    left = sum(bar.get_height() for bar in bars if bar.get_x() < -1e-9)
    assert left == 2


@pytest.fixture
def rock_salt() -> Structure:
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_rock_salt_shows_27_atoms_and_54_bonds(rock_salt):
    picture = str(crystal_picture(rock_salt, "p", "rock salt"))
    assert picture.count('class="atom"') == 27  # 8 corners, 6 faces, 12 edges, 1 centre
    assert picture.count('class="bond"') == 2 * 54  # the edges of a grid of 3 x 3 x 3 points, in halves
    assert [symbol for symbol, _ in element_colours(rock_salt)] == ["Na", "Cl"]
    assert 'aria-label="rock salt"' in picture


def test_pictures_stay_inside_their_frame(rock_salt):
    slab = Structure(Lattice.from_parameters(2.5, 3.1, 25, 70, 95, 120), ["C", "Si"], [[0, 0, 0], [0.4, 0.3, 0.97]])
    for structure in (rock_salt, slab):
        picture = str(crystal_picture(structure, "p", "x"))
        for x, y, r in re.findall(r'class="atom" cx="([\d.-]+)" cy="([\d.-]+)" r="([\d.]+)"', picture):
            assert float(r) <= float(x) <= 240 - float(r)
            assert float(r) <= float(y) <= 220 - float(r)


def test_only_small_cells_are_repeated(rock_salt):
    assert drawn_repeats(rock_salt) == (1, 1, 1)
    assert drawn_repeats(Structure(Lattice.hexagonal(2.46, 6.7), ["C"], [[0, 0, 0]])) == (2, 2, 1)
