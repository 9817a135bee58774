"""Judged sets -> molecular dynamics of their best crystals; restart points and trajectories in a working folder."""


rule md_set:
    input:
        relaxed="results/<run>/sets/{set}/relaxed.parquet",
        stability="results/<run>/sets/{set}/stability.parquet",
    output:
        dynamics="results/<run>/sets/{set}/dynamics.parquet",
        summary="results/<run>/sets/{set}/dynamics.json",
    log:
        "logs/md/<run>/{set}.log",
    benchmark:
        "benchmarks/md/<run>/{set}.tsv"
    wildcard_constraints:
        set=any_of(sets_of("md")),
    conda:
        "../../environment.yml"
    threads: cores("md_set")
    resources:
        mem_mb=memory("md_set"),
        runtime=minutes("md_set"),
    params:
        settings=lambda wildcards: as_json("md"),
        work=f"results/{config['run']}/work/md",
    shell:
        r"""
        unimat md \
            --crystals {input.relaxed:q} \
            --stability {input.stability:q} \
            --settings {params.settings:q} \
            --work {params.work:q} \
            --out-file {output.dynamics:q} \
            --summary {output.summary:q} \
            >{log:q} 2>&1
        """


localrules:
    md,


rule md:
    input:
        collect("results/<run>/sets/{set}/dynamics.parquet", set=sets_of("md")),
