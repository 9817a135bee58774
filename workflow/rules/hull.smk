"""Relaxed sets -> formation energy, decomposition energy and energy above the hull of a named reference."""


rule reference:
    input:
        relaxed=reference_files("set"),
        files=reference_files("file"),
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
        mem_mb=4000,
        runtime=120,
    params:
        settings=lambda wildcards: as_json("hull", only=["reference"]),
        relaxed=lambda wildcards, input: [f"--relaxed {Path(path).parent.name}={path}" for path in input.relaxed],
        out=subpath(output.reference, parent=True),
    shell:
        r"""
        unimat reference \
            --settings {params.settings:q} \
            {params.relaxed} \
            --out {params.out} \
            >{log} 2>&1
        """


rule hull_set:
    input:
        relaxed="results/<run>/sets/{set}/relaxed.parquet",
        reference=rules.reference.output.reference,
        known=rules.ingest.output.train,
    output:
        stability="results/<run>/sets/{set}/stability.parquet",
        summary="results/<run>/sets/{set}/stability.json",
    log:
        "logs/hull/<run>/{set}.log",
    benchmark:
        "benchmarks/hull/<run>/{set}.tsv"
    wildcard_constraints:
        set=any_of(sets_of("hull")),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        settings=lambda wildcards: as_json("hull"),
        out=subpath(output.stability, parent=True),
    shell:
        r"""
        unimat hull \
            --relaxed {input.relaxed} \
            --reference {input.reference} \
            --known {input.known} \
            --settings {params.settings:q} \
            --set {wildcards.set} \
            --out {params.out} \
            >{log} 2>&1
        """


localrules:
    hull,


rule hull:
    input:
        collect("results/<run>/sets/{set}/stability.json", set=sets_of("hull")),
