"""Relaxed sets -> formation energy, decomposition energy and energy above the hull of a named reference."""


rule reference:
    input:
        relaxed=reference_files("set", "reference"),
        files=reference_files("file", "reference"),
    output:
        reference="results/<run>/hull/reference.parquet",
        summary="results/<run>/hull/reference.json",
    log:
        "logs/reference/<run>.log",
    benchmark:
        "benchmarks/reference/<run>.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory("reference"),
        runtime=minutes("reference"),
    params:
        settings=lambda wildcards: as_json("hull", only=["reference"]),
        relaxed=lambda wildcards, input: relaxed_flags(input.relaxed),
        out=subpath(output.reference, parent=True),
    shell:
        r"""
        unimat reference \
            --settings {params.settings:q} \
            {params.relaxed:q} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """


use rule reference as further_reference with:
    input:
        relaxed=lambda wildcards: reference_files("set", wildcards.reference),
        files=lambda wildcards: reference_files("file", wildcards.reference),
    output:
        reference="results/<run>/hull/references/{reference}/reference.parquet",
        summary="results/<run>/hull/references/{reference}/reference.json",
    log:
        "logs/reference/<run>/{reference}.log",
    benchmark:
        "benchmarks/reference/<run>/{reference}.tsv"
    wildcard_constraints:
        reference=any_of(settings["hull"].references),
    params:
        settings=lambda wildcards: further_reference_settings(wildcards.reference),
        relaxed=lambda wildcards, input: relaxed_flags(input.relaxed),
        out=subpath(output.reference, parent=True),


use rule reference as reference_of_set with:
    input:
        relaxed=lambda wildcards: reference_files("set", "reference", wildcards.set),
        files=lambda wildcards: reference_files("file", "reference", wildcards.set),
    output:
        reference="results/<run>/hull/by_set/{set}/reference.parquet",
        summary="results/<run>/hull/by_set/{set}/reference.json",
    log:
        "logs/reference/<run>/by_set/{set}.log",
    benchmark:
        "benchmarks/reference/<run>/by_set/{set}.tsv"
    wildcard_constraints:
        set=any_of(sets_of("hull")),
    params:
        settings=lambda wildcards: as_json("hull", changed("hull", wildcards.set), only=["reference"]),
        relaxed=lambda wildcards, input: relaxed_flags(input.relaxed),
        out=subpath(output.reference, parent=True),


use rule reference as further_reference_of_set with:
    input:
        relaxed=lambda wildcards: reference_files("set", wildcards.reference, wildcards.set),
        files=lambda wildcards: reference_files("file", wildcards.reference, wildcards.set),
    output:
        reference="results/<run>/hull/by_set/{set}/references/{reference}/reference.parquet",
        summary="results/<run>/hull/by_set/{set}/references/{reference}/reference.json",
    log:
        "logs/reference/<run>/by_set/{set}/{reference}.log",
    benchmark:
        "benchmarks/reference/<run>/by_set/{set}/{reference}.tsv"
    wildcard_constraints:
        set=any_of(sets_of("hull")),
        reference=r"[^/]+",
    params:
        settings=lambda wildcards: further_reference_settings(wildcards.reference, wildcards.set),
        relaxed=lambda wildcards, input: relaxed_flags(input.relaxed),
        out=subpath(output.reference, parent=True),


rule hull_set:
    input:
        relaxed="results/<run>/sets/{set}/relaxed.parquet",
        reference=lambda wildcards: hull_reference(wildcards.set),
        references=lambda wildcards: hull_references(wildcards.set),
        known=lambda wildcards: known_tables(wildcards.set),
    output:
        stability="results/<run>/sets/{set}/stability.parquet",
        summary="results/<run>/sets/{set}/stability.json",
        references="results/<run>/sets/{set}/stability_by_reference.parquet",
        flips="results/<run>/sets/{set}/verdict_flips.parquet",
    log:
        "logs/hull/<run>/{set}.log",
    benchmark:
        "benchmarks/hull/<run>/{set}.tsv"
    wildcard_constraints:
        set=any_of(sets_of("hull")),
    conda:
        "../../environment.yml"
    threads: cores("hull_set")
    resources:
        mem_mb=memory("hull_set"),
        runtime=minutes("hull_set"),
    params:
        settings=lambda wildcards: as_json("hull", changed("hull", wildcards.set)),
        references=lambda wildcards, input: flags("reference", [input.reference, *input.references]),
        known=lambda wildcards, input: flags("known", input.known),
        cache=f"results/{config['run']}/work/hull",
        out=subpath(output.stability, parent=True),
    shell:
        r"""
        unimat hull \
            --relaxed {input.relaxed:q} \
            {params.references:q} \
            {params.known:q} \
            --settings {params.settings:q} \
            --set {wildcards.set:q} \
            --processes {threads} \
            --cache {params.cache:q} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """


localrules:
    hull,


rule hull:
    input:
        collect("results/<run>/sets/{set}/stability.json", set=sets_of("hull")),
