"""Flags of commands as lists of words, which the rules quote by `:q`."""


def flags(name, values):
    """A flag that is given once for each of `values`."""
    return [word for value in values for word in (f"--{name}", str(value))]


def mirror_flag():
    """One word, since a resource is no list."""
    mirror = settings["dataset"].mirror
    return f"--mirror={Path(mirror).expanduser()}" if mirror else ""


def cache_flag():
    """Flag for the folder of relaxations that runs share, if there is one."""
    cache = config.get("relax", {}).get("cache")
    return flags("cache", [Path(cache).expanduser()] if cache else [])


def metrics_cache():
    """Folder of what judging has computed: the run's own, or one that runs share."""
    cache = config.get("metrics", {}).get("cache") or f"results/{config['run']}/work/metrics"
    return str(Path(cache).expanduser())


def given_files():
    """Flags for local files that stand in for published ones."""
    return flags("file", [f"{key}={Path(path).expanduser()}" for key, path in settings["dataset"].files.items()])


def fetched_folder():
    """Flag that tells ingestion where a published dataset lies."""
    fetched = dataset_files() == rules.fetch.output.manifest
    return flags("files", [Path(rules.fetch.output.manifest).parent] if fetched else [])


def selection(name):
    """Flags that choose the rows of a set from a split."""
    options = {"seed": config.get("seed", 0)} | config["sets"][name]
    given = [key for key in ("lowest_per_composition", "rank_by", "take", "seed") if key in options]
    return [word for key in given for word in flags(key.replace("_", "-"), [options[key]])]


def tables_flag(name, files, tables):
    """A flag for several tables: files, and the word aflow."""
    words = [*files, *(word for word, kind in tables.items() if kind == "name")]
    return [f"--{name}", *words] if words else []


def relaxed_flags(paths):
    """Flags for relaxed sets by name."""
    return flags("relaxed", [f"{Path(path).parent.name}={path}" for path in paths])
