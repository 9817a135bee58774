"""What of the configuration goes along to another machine, and must be the same when something comes back."""


def needed_to_pack():
    """Encoded crystals, or the shipped model that stands in for a training, and the lists that sets are made for."""
    trained = config.get("pretrained")
    lists = [path for path in map(compositions_of, sets_from("sample")) if path]
    return [rules.train.output.model if trained else rules.encode.output.encoding, *lists]


def training_flags():
    """Flags for the training of this run; none where a shipped model stands in for it."""
    if config.get("pretrained"):
        return []
    given = {
        "encoded": f"results/{config['run']}/encoded",
        "work": training_folder(),
        "settings": as_json("train"),
        "model-settings": as_json("model"),
    }
    return [word for name, value in given.items() for word in flags(name, [value])]


def model_flag():
    """Flag for the trained model, if there is one."""
    model = f"results/{config['run']}/model/model.npz"
    return flags("model", [model] if config.get("pretrained") or Path(model).is_file() else [])


def sample_settings():
    """Settings of the sampled sets for `--sets`."""
    chosen = {name: options_of(config, "sample", asked_of(name)) for name in sets_from("sample")}
    return json.dumps(chosen, sort_keys=True)
