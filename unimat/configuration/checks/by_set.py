"""Sets with settings of their own, pairs of sets, and sets chosen from judged ones."""

from collections.abc import Iterator

from unimat.configuration.checks.names import demand
from unimat.configuration.configuration import Configuration, reference_sets
from unimat.errors import UserError

SECTIONS = ("relax", "hull")
OF_THE_SECTION = ("sets", "by_set", "cache")  # keys that no set can have of its own


def mistakes(configuration: Configuration) -> Iterator[str]:
    """The sets that `by_set` names are of that stage, their settings are sound, and so are sets chosen from others."""
    found = [line for section in SECTIONS for line in _section(configuration, section)]
    yield from found
    if found:  # what follows reads these settings
        return
    for name in configuration.sets_of("hull") or (None,):
        yield from _references(configuration, name)
    for a, b in configuration.pairs:
        if {a, b} <= set(configuration.sets_of("hull")) & set(configuration.sets_of("relax")):
            yield from _pair(configuration, a, b)
    for name in configuration.sets_from("screen"):
        yield from _screen(configuration, name)


def _section(configuration: Configuration, section: str) -> Iterator[str]:
    names = configuration.section(section).get("by_set", {})
    yield from demand(f"{section}.by_set", names, configuration.sets_of(section), f"{section}.sets")
    for name in names:
        for key in OF_THE_SECTION:
            if key in names[name]:
                yield f"{section}.by_set.{name}.{key}: the whole section has it, not one set; take it out"
        try:
            configuration.settings_of(section, name)
        except UserError as error:
            yield str(error)


def _references(configuration: Configuration, name: str | None) -> Iterator[str]:
    """Every set that a hull reference of `name` is made of is relaxed."""
    hull, own = configuration.hull(name), configuration.changed("hull", name)
    if name is None and "hull" not in configuration.values:
        return
    further = {f"references.{each}": reference for each, reference in hull.references.items()}
    for key, reference in {"reference": hull.reference, **further}.items():
        section = f"hull.by_set.{name}" if key.split(".")[0] in own else "hull"
        where = f"{section}.{key}.set"
        yield from demand(where, reference_sets(reference), configuration.sets_of("relax"), "relax.sets")


def _pair(configuration: Configuration, a: str, b: str) -> Iterator[str]:
    """Two sets that are compared have energies of one engine and one hull."""
    engines = [configuration.relaxation(name).engine for name in (a, b)]
    if engines[0] != engines[1]:
        yield (
            f"compare.pairs: {a!r} is relaxed by {engines[0]} and {b!r} by {engines[1]}, whose energies are never"
            " compared; take the pair out (the report says by itself how often verdicts of a screened set held)"
        )
    elif configuration.hull(a).reference != configuration.hull(b).reference:
        yield (
            f"compare.pairs: {a!r} and {b!r} are judged against different references (hull.by_set); take the pair out"
        )


def _screen(configuration: Configuration, name: str) -> Iterator[str]:
    """A screened set is chosen from another one that is judged, and not in a circle."""
    of = configuration.screened_from(name)
    if of == name:
        yield f"sets.{name}.of names the set itself; name a judged set to choose from"
        return
    place = "hull.sets, so there is no verdict to choose by"
    unknown = list(demand(f"sets.{name}.of", [of], configuration.sets_of("hull"), place))
    yield from unknown or _circle(configuration, name, ())


def _circle(configuration: Configuration, name: str, path: tuple[str, ...]) -> Iterator[str]:
    """A line if the choice of `name` waits for itself, through the sets on `path`."""
    if name in path:
        waits = " waits for ".join([*path, name])
        yield f"sets.{path[0]}.of: the choice waits for itself ({waits}); break the circle"
        return
    if configuration.sets.get(name, {}).get("from") == "screen":
        of = configuration.screened_from(name)
        judged_by = [each for reference in configuration.hull(of).all_references for each in reference_sets(reference)]
        for each in dict.fromkeys([of, *judged_by]):
            found = list(_circle(configuration, each, (*path, name)))
            if found:
                yield found[0]
                return
