"""Crystals that make one not novel: the training split, those that are named, and those that another model learned."""


def datasets_of_models(fetched=False):
    """Names of the published datasets, beside the run's own, that its model learned before.

    Args:
        fetched: leave out those that come with unimat.
    """
    source = config.get("pretrained") or settings["train"].initial
    if not source or not settings["hull"].known_of_model or not model_file(source).exists():
        return []
    learned = [name for name in datasets_of(model_file(source)) if name in DATASETS]
    return [name for name in learned if not (fetched and DATASETS[name].embedded)]


def manifest_of(name):
    return [] if DATASETS[name].embedded else f"resources/{name}/manifest.json"


def known_tables(name=None):
    """Tables of crystals that are not novel in a set: the training split, named ones, and what its model learned."""
    own, learned = settings["dataset"].name, datasets_of_models()
    validation = ["results/<run>/dataset/val.parquet"] if own in learned else []
    others = [each for each in learned if each != own]
    return [
        "results/<run>/dataset/train.parquet",
        *settings_of("hull", name).known,
        *validation,
        *expand("results/<run>/known/{known}/{split}.parquet", known=others, split=("train", "val")),
    ]


use rule fetch as fetch_known with:
    output:
        manifest=ensure("resources/{known}/manifest.json", non_empty=True),
    log:
        "logs/fetch/{known}.log",
    wildcard_constraints:
        known=any_of(set(datasets_of_models(fetched=True)) - {settings["dataset"].name}),
    resources:
        mem_mb=growing(500),
        runtime=growing(360),
        mirror="",
    params:
        dataset=lambda wildcards: wildcards.known,
        given=[],
        out=subpath(output.manifest, parent=True),


rule known:
    input:
        lambda wildcards: manifest_of(wildcards.known),
    output:
        train="results/<run>/known/{known}/train.parquet",
        val="results/<run>/known/{known}/val.parquet",
    log:
        "logs/known/<run>/{known}.log",
    wildcard_constraints:
        known=any_of(datasets_of_models()),
    conda:
        "../../environment.yml"
    threads: 4
    resources:
        mem_mb=growing(4000),
        runtime=growing(480),
    params:
        settings=lambda wildcards: json.dumps({"name": wildcards.known}),
        files=lambda wildcards, input: flags("files", [Path(path).parent for path in input]),
        out=subpath(output.train, parent=True),
    shell:
        r"""
        unimat ingest \
            --settings {params.settings:q} \
            {params.files:q} \
            --processes {threads} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """
