"""Crystals that make one not novel: the training split, those that are named, and those that another model learned."""


use rule fetch as fetch_known with:
    output:
        manifest=ensure("resources/{known}/manifest.json", non_empty=True),
    log:
        "logs/fetch/{known}.log",
    wildcard_constraints:
        known=any_of(configuration.learned(fetched=True)),
    resources:
        mem_mb=memory("fetch_known"),
        runtime=minutes("fetch_known"),
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
        known=any_of(configuration.learned()),
    conda:
        "../../environment.yml"
    threads: cores("known")
    resources:
        mem_mb=memory("known"),
        runtime=minutes("known"),
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
