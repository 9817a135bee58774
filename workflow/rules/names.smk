"""Names of sets and other things in the configuration, and that they lead somewhere."""


def sets_of(section):
    """Names of the sets that a stage works on."""
    return config.get(section, {}).get("sets", [])


def sets_from(kind):
    """Names of the sets of one origin."""
    return [name for name, options in config.get("sets", {}).items() if options["from"] == kind]


def pairs():
    """Pairs of sets to compare."""
    return config.get("compare", {}).get("pairs", [])


def check_names(settings):
    """The dataset and every set that a stage names exist where that stage looks for them."""
    demand("dataset.name", [settings["dataset"].name], [*DATASETS, "custom"], "datasets")
    demand("metrics.sets", sets_of("metrics"), config.get("sets", {}), "sets")
    demand("relax.sets", sets_of("relax"), config.get("sets", {}), "sets")
    demand("hull.sets", sets_of("hull"), sets_of("relax"), "relax.sets")
    demand("md.sets", sets_of("md"), sets_of("hull"), "hull.sets")
    demand("compare.pairs", [name for pair in pairs() for name in pair], sets_of("hull"), "hull.sets")
    check_compositions()
    check_reproduction(settings)
    check_by_set()
    check_trained(settings)
    if settings["report"].set:
        demand("report.set", [settings["report"].set], config.get("sets", {}), "sets")
    check_files({f"sets.{name}.path": config["sets"][name]["path"] for name in sets_from("file")})
    check_files({f"hull.known[{index}]": path for index, path in enumerate(settings["hull"].known)})


def demand(key, names, known, place):
    for name in names:
        if name not in known:
            stop(f"{key} names {name!r}, which is not among {place}{did_you_mean(name, known)}")


def check_trained(settings):
    """The trained models that the configuration names are there, and no section says that they are others."""
    name, initial = config.get("pretrained"), settings["train"].initial
    if name and initial:
        stop("pretrained trains nothing, so train.initial has nothing to start; take one of them out")
    try:
        if initial:
            model_file(initial)
        if name:
            refuse_unlike("pretrained", name, ("encode", "model"))
        elif initial and not initial.endswith(".npz"):
            refuse_unlike("train.initial", initial, ("model",))
    except UserError as error:
        stop(f"{'pretrained' if name else 'train.initial'}: {error}")


def refuse_unlike(key, name, sections):
    for section in sections:
        found = contradictions(card_of(name), section, config.get(section, {}))
        if found:
            stop(f"{key} {name!r} is another model: {'; '.join(found)}; leave {section} out, or train without {key}")


def truths_of(name):
    """The set whose compositions a sampled set is made for; None if it has compositions of another kind or none."""
    return config["sets"][name].get("compositions_of")


def made_for_others():
    """Sampled sets that are made for the crystals of another set."""
    return [name for name in sets_from("sample") if truths_of(name)]


def check_compositions():
    """Sets that samples are made for exist before any model, and only such samples are matched."""
    there = [name for kind in ("split", "file", "airss") for name in sets_from(kind)]
    for name in made_for_others():
        demand(f"sets.{name}.compositions_of", [truths_of(name)], there, "sets from split, file or airss")
        for other in ("composition", "compositions"):
            if other in config["sets"][name]:
                stop(f"sets.{name} has compositions_of and {other}, which contradict each other; take one out")
    demand("match.sets", sets_of("match"), made_for_others(), "sampled sets with compositions_of")


def check_reproduction(settings):
    """The set that is written down is sampled and judged, where a configuration says anything of it."""
    if "reproduction" in config:
        judged = [name for name in sets_of("metrics") if name in sets_from("sample")]
        demand("reproduction.set", [settings["reproduction"].set], judged, "sampled sets of metrics.sets")
