"""Crystals made for the compositions of crystals -> how many of them found the crystal, and how closely."""


rule match_set:
    input:
        crystals="results/<run>/sets/{set}/crystals.parquet",
        truths=lambda wildcards: f"results/<run>/sets/{truths_of(wildcards.set)}/crystals.parquet",
    output:
        summary="results/<run>/sets/{set}/prediction.json",
        pairs="results/<run>/sets/{set}/prediction.parquet",
    log:
        "logs/match/<run>/{set}.log",
    benchmark:
        "benchmarks/match/<run>/{set}.tsv"
    wildcard_constraints:
        set=any_of(sets_of("match")),
    conda:
        "../../environment.yml"
    threads: cores("match_set")
    resources:
        mem_mb=memory("match_set"),
        runtime=minutes("match_set"),
    params:
        settings=lambda wildcards: as_json("match"),
        samples=lambda wildcards: configuration.per_composition(wildcards.set),
    shell:
        r"""
        unimat match \
            --crystals {input.crystals:q} \
            --truths {input.truths:q} \
            --by number \
            --samples {params.samples:q} \
            --set {wildcards.set:q} \
            --settings {params.settings:q} \
            --processes {threads} \
            --out-file {output.summary:q} \
            --pairs {output.pairs:q} \
            >{log:q} 2>&1
        """


localrules:
    match,


rule match:
    input:
        collect("results/<run>/sets/{set}/prediction.json", set=sets_of("match")),
