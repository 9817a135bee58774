"""Sets with settings of their own: what `by_set` changes of a section, and sets chosen from judged ones."""

BY_SET = ("relax", "hull")
DFT = ("vasp", "gpaw")  # engines that take one crystal for each job
OF_THE_SECTION = ("sets", "by_set", "cache")  # keys that no set can have of its own


def changed(section, name):
    """What `by_set` puts in the place of a section's keys for one set; nothing for the name None.

    A hull reference of its own comes without the section's further ones, whose energies are of another type.
    """
    own = config.get(section, {}).get("by_set", {}).get(name, {})
    return ({"references": {}} if "reference" in own else {}) | own


def settings_of(section, name):
    """Settings of a section for one set."""
    own = changed(section, name)
    try:
        return load_settings(SETTINGS[section], options_of(config, section, own), f"{section}.by_set.{name}")
    except UserError as error:
        stop(error)


def own_shards(name):
    """Shards of a set that does not take the section's, or the profile's; None if it does.

    A set with an engine of DFT of its own has one shard for each crystal, where the configuration says how many.
    """
    own, options = changed("relax", name), config["sets"][name]
    one_each = options.get("take") if own.get("engine") in DFT else None
    return own.get("shards", one_each)


def check_by_set():
    """The sets that `by_set` names are of that stage, their settings are sound, and so are sets chosen from others."""
    for section in BY_SET:
        names = config.get(section, {}).get("by_set", {})
        demand(f"{section}.by_set", names, sets_of(section), f"{section}.sets")
        for name in names:
            for key in OF_THE_SECTION:
                if key in names[name]:
                    stop(f"{section}.by_set.{name}.{key}: the whole section has it, not one set; take it out")
            settings_of(section, name)
    for name in sets_of("hull"):
        check_reference_sets(name)
    for pair in pairs():
        check_pair(*pair)
    for name in sets_from("screen"):
        check_screen(name)


def check_reference_sets(name):
    """Every set that a hull reference of `name` is made of is relaxed."""
    hull, own = settings_of("hull", name), changed("hull", name)
    further = {f"references.{each}": reference for each, reference in hull.references.items()}
    for key, reference in {"reference": hull.reference, **further}.items():
        section = f"hull.by_set.{name}" if key.split(".")[0] in own else "hull"
        demand(f"{section}.{key}.set", reference_sets(reference), sets_of("relax"), "relax.sets")


def reference_sets(reference):
    """Names of the relaxed sets that a reference is made of."""
    return list(dict.fromkeys(part.set for part in reference.parts.values() if part.kind == "set"))


def check_pair(a, b):
    """Two sets that are compared have energies of one engine and one hull."""
    engines = [settings_of("relax", name).engine for name in (a, b)]
    if engines[0] != engines[1]:
        stop(
            f"compare.pairs: {a!r} is relaxed by {engines[0]} and {b!r} by {engines[1]}, whose energies are never"
            " compared; take the pair out (the report says by itself how often verdicts of a screened set held)"
        )
    if settings_of("hull", a).reference != settings_of("hull", b).reference:
        stop(f"compare.pairs: {a!r} and {b!r} are judged against different references (hull.by_set); take the pair out")


def check_screen(name):
    """A screened set is chosen from another one that is judged, and not in a circle."""
    of = config["sets"][name]["of"]
    if of == name:
        stop(f"sets.{name}.of names the set itself; name a judged set to choose from")
    demand(f"sets.{name}.of", [of], sets_of("hull"), "hull.sets, so there is no verdict to choose by")
    refuse_circle(name, ())


def refuse_circle(name, path):
    """Stop if the choice of `name` waits for itself, through the sets on `path`."""
    if name in path:
        stop(f"sets.{path[0]}.of: the choice waits for itself ({' waits for '.join([*path, name])}); break the circle")
    if config["sets"][name]["from"] == "screen":
        of = config["sets"][name]["of"]
        judged_by = [reference_sets(each) for each in settings_of("hull", of).all_references]
        for each in dict.fromkeys([of, *sum(judged_by, [])]):
            refuse_circle(each, (*path, name))


def hull_reference(name):
    """The reference that a set's headline verdicts are against: the run's, or one of its own."""
    place = f"by_set/{name}/" if "reference" in changed("hull", name) else ""
    return f"results/<run>/hull/{place}reference.parquet"


def hull_references(name):
    """The further references that a set is judged against: the run's, or some of its own."""
    place = f"by_set/{name}/" if "references" in changed("hull", name) else ""
    names = settings_of("hull", name).references
    return [f"results/<run>/hull/{place}references/{each}/reference.parquet" for each in names]


def shard_files(name):
    """Relaxed tables of a set's shards."""
    shards, pattern = own_shards(name), f"results/<run>/sets/{name}/relax/{{scatteritem}}.parquet"
    if shards is None:
        return gather.relax(pattern)
    return expand(pattern, scatteritem=[f"{k}-of-{shards}" for k in range(1, shards + 1)])


def screened_from(name):
    """The judged set that a screened one was chosen from."""
    return config["sets"][name]["of"]


def judged_again():
    """Screened sets that are judged, so that their verdicts can be held against the first ones."""
    return [name for name in sets_from("screen") if name in sets_of("hull")]


def judged_files(name):
    """What agreement reads of a judged set."""
    folder = f"results/<run>/sets/{name}"
    return [f"{folder}/{file}" for file in ("stability.parquet", "stability.json", "relaxed.parquet")]
