"""Two judged sets -> their energies per composition (Equations 3 and 4 of the paper)."""


rule compare_pair:
    input:
        a=multiext("results/<run>/sets/{a}/stability", ".parquet", ".json"),
        b=multiext("results/<run>/sets/{b}/stability", ".parquet", ".json"),
    output:
        summary="results/<run>/compare/{a}_vs_{b}.json",
        pairs="results/<run>/compare/{a}_vs_{b}.parquet",
    log:
        "logs/compare/<run>/{a}_vs_{b}.log",
    benchmark:
        "benchmarks/compare/<run>/{a}_vs_{b}.tsv"
    wildcard_constraints:
        a=any_of(sets_of("hull")),
        b=any_of(sets_of("hull")),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory("compare_pair"),
        runtime=minutes("compare_pair"),
    params:
        settings=lambda wildcards: as_json("compare"),
        a=lambda wildcards, input: Path(input.a[0]).parent,
        b=lambda wildcards, input: Path(input.b[0]).parent,
    shell:
        r"""
        unimat compare \
            --a {params.a:q} \
            --b {params.b:q} \
            --settings {params.settings:q} \
            --out-file {output.summary:q} \
            --pairs {output.pairs:q} \
            >{log:q} 2>&1
        """


localrules:
    compare,


rule compare:
    input:
        [f"results/<run>/compare/{a}_vs_{b}.json" for a, b in configuration.pairs],
