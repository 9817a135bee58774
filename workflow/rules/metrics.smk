"""Sets -> validity, coverage, distributions, uniqueness and novelty."""


rule metrics_set:
    input:
        crystals="results/<run>/sets/{set}/crystals.parquet",
        rejected="results/<run>/sets/{set}/rejected.parquet",
        reference=f"results/<run>/dataset/{configuration.reference_split}.parquet",
        known=known_tables(),
    output:
        metrics="results/<run>/sets/{set}/metrics.json",
        verdicts="results/<run>/sets/{set}/verdicts.parquet",
        csv="results/<run>/sets/{set}/verdicts.csv",
    log:
        "logs/metrics/<run>/{set}.log",
    benchmark:
        "benchmarks/metrics/<run>/{set}.tsv"
    wildcard_constraints:
        set=any_of(sets_of("metrics")),
    conda:
        "../../environment.yml"
    threads: cores("metrics_set")
    resources:
        mem_mb=memory("metrics_set"),
        runtime=minutes("metrics_set"),
    params:
        settings=lambda wildcards: as_json("metrics"),
        known=lambda wildcards, input: flags("known", input.known),
        cache=metrics_cache(),
    shell:
        r"""
        unimat metrics \
            --crystals {input.crystals:q} \
            --rejected {input.rejected:q} \
            --reference {input.reference:q} \
            {params.known:q} \
            --settings {params.settings:q} \
            --set {wildcards.set:q} \
            --cache {params.cache:q} \
            --processes {threads} \
            --out-file {output.metrics:q} \
            --verdicts {output.verdicts:q} \
            --verdicts-csv {output.csv:q} \
            >{log:q} 2>&1
        """


localrules:
    metrics,


rule metrics:
    input:
        collect("results/<run>/sets/{set}/metrics.json", set=sets_of("metrics")),
