"""The four or five numbers that a reader takes away, each with its denominator."""

import dataclasses
from typing import Any

from unimat.report.known import known_crystals, novelty_judged_after
from unimat.report.quantities import Share, energy, percent, share
from unimat.report.run_files import Comparison, RunFiles, SetFiles
from unimat.report.sections.quality import rate_of, valid_unique_novel
from unimat.report.sections.stability import engine_of, hull_name, threshold


@dataclasses.dataclass(frozen=True)
class Headline:
    """One headline number.

    Attributes:
        value: a rate between 0 and 1 for unit `fraction`, an energy for unit `eV/atom`; None when not computed.
        count, of: numerator and denominator; for an energy, the number of pairs and None.
        note: what the denominator is, what an energy refers to, or what is missing.
        details: further figures for the page, an interval say; one line each.
    """

    name: str
    value: float | None
    unit: str
    count: int | None
    of: int | None
    note: str
    details: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The number as read: ``48 of 400``, ``−0.061 eV/atom``."""
        if self.value is None:
            return "not computed"
        if self.unit == "fraction":
            return f"{self.count:,} of {self.of:,}"
        return f"{energy(self.value, sign=True)} {self.unit}"

    @property
    def rate(self) -> str:
        return percent(self.value) if self.unit == "fraction" and self.value is not None else ""


def headlines(run: RunFiles, name: str | None = None) -> list[Headline]:
    """Headline numbers of the set `name` (by default the first sampled set), in the order of the science.

    Raises:
        UserError: if there is no set of that name.
    """
    one = run.primary(name)
    if one is None:
        return [_missing("Generated crystals", "fraction", "sets/ is empty; `unimat sample` makes a set")]
    new = _stable_unique_novel(run, one) if novelty_judged_after(one) else _valid_unique_novel(run, one)
    return [_valid(one), _converged(one), _stable(run, one), new, _difference(run, one)]


def as_json(found: list[Headline]) -> list[dict[str, Any]]:
    """The list that headline.json holds."""
    keys = ("name", "value", "unit", "count", "of", "note")
    return [{key: getattr(each, key) for key in keys} for each in found]


def summary(run: RunFiles, found: list[Headline]) -> str:
    """Plain text for the terminal, one number a line."""
    width = max(len(each.name) for each in found)
    lines = [f"{run.name}"]
    for each in found:
        rate = f" ({each.rate})" if each.rate else ""
        lines.append(f"  {each.name:<{width}}  {each.text}{rate}; {each.note}")
    return "\n".join(lines)


def _valid(one: SetFiles) -> Headline:
    name = "Valid structure and composition"
    found, strict = (rate_of(one, mode, "valid") for mode in ("cdvae", "strict"))
    if found is None or found.rate is None:
        note = f"sets/{one.name}/metrics.json has no rate of the valid; `unimat metrics` makes it"
        return _missing(name, "fraction", note)
    note = f"of everything generated (set “{one.name}”), by CDVAE's rules on the crystals as generated"
    return _fraction(name, found, note, f"{strict} by the strict ones" if strict else "")


def _valid_unique_novel(run: RunFiles, one: SetFiles) -> Headline:
    name = "Valid, unique and novel"
    found = valid_unique_novel(one)
    if found is None or found.rate is None:
        return _missing(name, "fraction", f"sets/{one.name}/verdicts.parquet does not say; `unimat metrics` makes it")
    note = f"of everything generated (set “{one.name}”), as generated; novel against {known_crystals(run, one)}"
    return _fraction(name, found, note)


def _converged(one: SetFiles) -> Headline:
    name = "Relaxed to convergence"
    found = share((one.relaxation or {}).get("converged"), (one.relaxation or {}).get("n"))
    if found is None or found.rate is None:
        return _missing(
            name, "fraction", f"sets/{one.name}/relaxed.json is missing; `unimat relax` and `gather` make it"
        )
    generated = Share(found.count, one.n_generated or found.of)
    note = f"of everything generated (set “{one.name}”); {found.of:,} were handed to {engine_of(one)}"
    return _fraction(name, generated, note)


def _stable(run: RunFiles, one: SetFiles) -> Headline:
    name = "Stable or metastable"
    stats = one.stability_summary or {}
    stable, metastable = (share(stats.get(key), one.n_generated) for key in ("stable", "metastable"))
    if stable is None or metastable is None:
        return _missing(name, "fraction", f"sets/{one.name}/stability.json is missing; `unimat hull` makes it")
    both = Share(stable.count + metastable.count, stable.of)
    limit = f"{1000 * threshold(one):g} meV/atom"
    note = f"of everything generated (set “{one.name}”); E_d < {limit} against the hull {hull_name(run, one)}"
    note += f"; energies by {engine_of(one)}"
    return _fraction(name, both, note, f"{stable.count:,} with E_d < 0")


def _stable_unique_novel(run: RunFiles, one: SetFiles) -> Headline:
    name = "Stable or metastable, unique and novel"
    stats = one.stability_summary or {}
    found, stable = (share(stats.get(f"{kind}_unique_novel"), one.n_generated) for kind in ("metastable", "stable"))
    if found is None or found.rate is None:
        return _missing(name, "fraction", f"sets/{one.name}/stability.json is missing; `unimat hull` makes it")
    note = f"of everything generated (set “{one.name}”), all judged after relaxation"
    note += f"; novel against {known_crystals(run, one)}"
    return _fraction(name, found, note, f"{stable.count:,} with E_d < 0" if stable else "")


def _difference(run: RunFiles, one: SetFiles) -> Headline:
    chosen = _comparison_of(run.comparisons, one.name)
    if chosen is None:
        return _missing("ΔE_f per composition", "eV/atom", "compare/ is empty; `unimat compare` makes a comparison")
    stats = chosen.summary
    name = f"ΔE_f({stats.get('a')}, {stats.get('b')})"
    entry, n_pairs = stats.get("delta_e_form") or {}, int(stats.get("n_pairs") or 0)
    if entry.get("value") is None:
        return _missing(name, "eV/atom", f"no two converged crystals of one composition ({n_pairs} pairs)")
    lower = share(stats.get("reduction_rate"), n_pairs)
    note = f"mean over {n_pairs:,} pairs of {stats.get('n_compositions'):,} shared compositions"
    note += f"; energies by {engine_of(one)}"
    parts = []
    if entry.get("low") is not None and entry.get("high") is not None:
        level = (stats.get("bootstrap") or {}).get("level", 0.95)
        parts.append(f"{100 * level:g} % interval {energy(entry['low'], True)} to {energy(entry['high'], True)}")
    if lower:
        parts.append(f"{stats.get('a')} lower in {lower}")
    return Headline(name, float(entry["value"]), "eV/atom", n_pairs, None, note, tuple(parts))


def _comparison_of(comparisons: list[Comparison], name: str) -> Comparison | None:
    named = [each for each in comparisons if each.summary.get("a") == name]
    return next(iter(named or comparisons), None)


def _fraction(name: str, found: Share, note: str, detail: str = "") -> Headline:
    low, high = found.interval() or (0.0, 1.0)
    interval = f"95 % interval {100 * low:.1f} to {100 * high:.1f} %"
    details = (detail, interval) if detail else (interval,)
    return Headline(name, found.rate, "fraction", found.count, found.of, note, details)


def _missing(name: str, unit: str, note: str) -> Headline:
    return Headline(name, None, unit, None, None, note)
