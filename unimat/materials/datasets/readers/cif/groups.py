"""Space groups by their names: Hall symbol, Hermann-Mauguin symbol with or without a setting, number."""

import functools
import re

import gemmi
import spglib

_SUFFIX = re.compile(r"(?P<base>.+?)\s*(?::\s*(?P<code>[^\s:]+)|(?P<letters>RS|[RHSZ]))\s*")
_NUMBERED = re.compile(r"(?P<base>.+?)\s*\(\s*(?:#|no\.?)?\s*(?P<number>\d{1,3})\s*\)", re.IGNORECASE)  # P 1 (#1)
_CODES = {"S": "1", "Z": "2", "RS": "R"}  # of the ICSD: origin choices 1 and 2, rhombohedral axes
_AXIS_FREE = (3, 4, 6, 10, 11)  # monoclinic groups that are the same whatever axis is unique
Settings = tuple[gemmi.SpaceGroup, ...]


@functools.lru_cache(maxsize=4096)
def settings_of_symbol(symbol: str) -> tuple[Settings, ...]:
    """Settings that a Hermann-Mauguin symbol may mean, none if it is not known.

    The outer tuple is in the order of convention (P 21: unique axis b, then c, then a); an inner one holds what the
    symbol does not tell apart: two origins, hexagonal and rhombohedral axes.
    """
    numbered = _NUMBERED.fullmatch(symbol)
    if numbered:
        settings = settings_of_symbol(numbered["base"])
        return settings if settings and settings[0][0].number == int(numbered["number"]) else ()
    match = _SUFFIX.fullmatch(symbol)
    if match is None:
        return _known(symbol)
    code = (match["code"] or match["letters"]).upper()
    code = _CODES.get(code, code)
    narrowed = (
        tuple(s for s in settings if code in (s.ext, s.qualifier.upper())) for settings in _known(match["base"])
    )
    return tuple(settings for settings in narrowed if settings)


@functools.lru_cache(maxsize=1024)
def settings_of_number(text: str) -> tuple[Settings, ...]:
    """Settings that the number of a group in the International Tables may mean; none if there is no such group."""
    if not text.isdecimal() or len(text) > 3 or not 1 <= int(text) <= 230:
        return ()
    settings = [each for each in _by_symbol().values() if each[0].number == int(text)]
    others = [each for each in settings[1:] if each[0].qualifier in ("c", "a")]
    return (settings[0], *(others if int(text) in _AXIS_FREE else ()))


@functools.lru_cache(maxsize=1024)
def group_of_hall(symbol: str) -> gemmi.GroupOps | None:
    """Operations of a Hall symbol, None if it cannot be read."""
    try:
        return gemmi.symops_from_hall(symbol.replace("_", " "))
    except (ValueError, RuntimeError):
        return None


def _known(symbol: str) -> tuple[Settings, ...]:
    found = _short_symbols().get(_compact(symbol))
    if found is None:
        setting = gemmi.find_spacegroup_by_name(symbol.replace("_", ""))  # knows Fm3m, Cmce
        found = [setting.hm] if setting else _full_symbols().get(_compact(symbol), [])
    settings = [_by_symbol()[hm] for hm in found]
    return tuple(each for each in settings if each[0].number == settings[0][0].number)


def _compact(symbol: str) -> str:
    return re.sub(r"[\s_]", "", symbol).lower()


@functools.cache
def _by_symbol() -> dict[str, Settings]:
    """Settings that share a symbol, in the order of the International Tables: the standard setting of a group first."""
    found: dict[str, list[gemmi.SpaceGroup]] = {}
    for setting in gemmi.spacegroup_table():
        found.setdefault(setting.hm, []).append(setting)
    return {hm: tuple(settings) for hm, settings in found.items()}


@functools.cache
def _short_symbols() -> dict[str, list[str]]:
    """Symbols by their letters without spaces, monoclinic ones without the ones for axes of no symmetry, too."""
    found: dict[str, list[str]] = {}
    for hm in _by_symbol():
        found[_compact(hm)] = [hm]
    for hm, settings in _by_symbol().items():
        if 3 <= settings[0].number <= 15:
            short = _compact("".join(part for part in hm.split() if part != "1"))
            found.setdefault(short, []).append(hm)
    return found


@functools.cache
def _full_symbols() -> dict[str, list[str]]:
    """Symbols by their full form, F 4/m -3 2/m for F m -3 m, without spaces."""
    found: dict[str, list[str]] = {}
    listings = (spglib.get_spacegroup_type(number) for number in range(1, 531))
    for listed in filter(None, listings):
        setting = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(listed.hall_symbol))
        symbols = found.setdefault(_compact(listed.international_full.partition("=")[0]), [])
        if setting and setting.hm not in symbols:
            symbols.append(setting.hm)
    return found
