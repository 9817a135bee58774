"""Numbers as the report prints them: counts with their denominators, energies with their units."""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from unimat.materials.crystals.intervals import wilson

MISSING = "–"
NOT_COMPUTED = "not computed"


@dataclasses.dataclass(frozen=True)
class Share:
    """A count and what it is a count of."""

    count: int
    of: int

    @property
    def rate(self) -> float | None:
        return self.count / self.of if self.of else None

    def __str__(self) -> str:
        return f"{self.count:,} of {self.of:,}" + ("" if self.rate is None else f" ({percent(self.rate)})")

    def interval(self) -> tuple[float, float] | None:
        """95 % Wilson score interval of the rate; None without trials."""
        return wilson(self.count, self.of)


def share(entry: Any, of: int | None = None) -> Share | None:
    """Share of a summary's entry: ``{"count": .., "of": ..}``, or a bare count together with `of`."""
    if isinstance(entry, Mapping) and entry.get("count") is not None:
        total = entry.get("of", of)
        return None if total is None else Share(int(entry["count"]), int(total))
    if isinstance(entry, int) and not isinstance(entry, bool) and of is not None:
        return Share(entry, int(of))
    return None


def with_interval(found: Share | None) -> str:
    """``52 of 60 (86.7 %) [75.8, 93.1]``, with the 95 % Wilson interval."""
    if found is None:
        return NOT_COMPUTED
    interval = found.interval()
    return f"{found} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else str(found)


def percent(rate: float) -> str:
    """Percentage with one decimal; never rounded to 0 or 100 % when it is neither."""
    text = f"{100 * rate:.1f}"
    if text == "0.0" and rate > 0:
        return "< 0.1 %"
    if text == "100.0" and rate < 1:
        return "> 99.9 %"
    return f"{text.removesuffix('.0') if rate in (0, 1) else text} %"


def number(value: Any, digits: int = 3) -> str:
    """A number for reading (three significant digits by default, thousands separated), or a dash for none."""
    if value is None or isinstance(value, str | bool):
        return MISSING if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return MISSING
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}".replace("-", "−")


def energy(value: Any, sign: bool = False) -> str:
    """Energy to 1 meV, without its unit; a true minus sign."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value + 0.0:{'+' if sign else ''}.3f}".replace("-", "−")


def millis(value: float) -> str:
    """An energy in eV/atom as meV/atom, for thresholds."""
    return f"{1000 * value:g} meV/atom"


def energy_label(energy_type: Mapping[str, Any] | str | None, full: bool = False) -> str:
    """The calculator behind an energy; with `full`, also its functional and corrections."""
    if not energy_type:
        return "an engine that the files do not name"
    if isinstance(energy_type, str):
        return energy_type
    calculator = str(energy_type.get("calculator") or energy_type.get("engine") or "unnamed calculator")
    if not full:
        return calculator
    details = [f"{key}: {energy_type[key]}" for key in ("functional", "corrections") if energy_type.get(key)]
    return "; ".join([calculator, *details])


def rich(text: str) -> Markup:
    """Text for the page: escaped, E_d and E_f with subscripts, words between backticks as code, an interval apart."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    marked = re.sub("(\\d)\u0305", r'<span class="bar">\1</span>', marked)  # few fonts set the combining bar well
    marked = re.sub(r"(\d) (%|m?eV/atom|Å|g/cm³)", "\\1\u00a0\\2", marked)  # a number and its unit on one line
    marked = re.sub(r" (\[[-−\d.,e ]+\])$", r' <span class="interval">\1</span>', marked)
    return Markup(re.sub(r"\bE_([df])\b|(?<=Δ)E_([df])\b", lambda m: f"<i>E</i><sub>{m[1] or m[2]}</sub>", marked))


def spacegroup_symbol(symbol: str) -> str:
    """Hermann-Mauguin symbol as it is printed: ``P6_3/mmc`` as P6₃/mmc, ``F-43m`` with a bar over the 4."""
    symbol = re.sub(r"_(\d)", lambda m: chr(0x2080 + int(m[1])), symbol)
    return re.sub(r"-(\d)", "\\1\u0305", symbol)


def dig(mapping: Any, *names: str) -> Any:
    """First value under any of `names` in nested mappings, breadth first; None if there is none."""
    level = [mapping]
    while level:
        mappings = [each for each in level if isinstance(each, Mapping)]
        for name in names:
            for each in mappings:
                if each.get(name) is not None:
                    return each[name]
        level = [value for each in mappings for value in each.values()]
    return None
