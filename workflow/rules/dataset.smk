"""Published or own crystals -> checked crystal tables, split, with a data card."""


rule fetch:
    output:
        manifest=ensure("resources/<dataset>/manifest.json", non_empty=True),
    log:
        "logs/fetch/<dataset>.log",
    retries: 2
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory("fetch"),
        runtime=minutes("fetch"),
        # No parameter: the same files from another mirror change nothing.
        mirror=mirror_flag(),
    params:
        dataset=settings["dataset"].name,
        given=given_files(),
        out=subpath(output.manifest, parent=True),
    shell:
        r"""
        unimat fetch \
            --dataset {params.dataset:q} \
            --out {params.out:q} \
            {params.given:q} \
            {resources.mirror:q} \
            >{log:q} 2>&1
        """


rule ingest:
    input:
        dataset_files(),
    output:
        train="results/<run>/dataset/train.parquet",
        val="results/<run>/dataset/val.parquet",
        test="results/<run>/dataset/test.parquet",
        rejected="results/<run>/dataset/rejected.parquet",
        card="results/<run>/dataset/card.json",
        page=report(
            "results/<run>/dataset/card.html",
            category="Dataset",
            caption="../report/card.rst",
        ),
    log:
        "logs/ingest/<run>.log",
    benchmark:
        "benchmarks/ingest/<run>.tsv"
    conda:
        "../../environment.yml"
    threads: cores("ingest")
    resources:
        mem_mb=memory("ingest"),
        runtime=minutes("ingest"),
    params:
        settings=lambda wildcards: as_json("dataset"),
        files=fetched_folder(),
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


localrules:
    dataset,


rule dataset:
    input:
        rules.ingest.output,
