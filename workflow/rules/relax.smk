"""Sets -> relaxed sets, in shards; each crystal's result is kept in a working folder as it finishes."""


scattergather:
    relax=config.get("relax", {}).get("shards", 1),


rule relax_shard:
    input:
        crystals="results/<run>/sets/{set}/crystals.parquet",
    output:
        relaxed="results/<run>/sets/{set}/relax/{scatteritem}.parquet",
    log:
        "logs/relax/<run>/{set}/{scatteritem}.log",
    benchmark:
        "benchmarks/relax/<run>/{set}/{scatteritem}.tsv"
    wildcard_constraints:
        set=any_of(sets_of("relax")),
    conda:
        "../../environment.yml"
    threads: settings["relax"].threads
    resources:
        mem_mb=3000,
        runtime=1440,
    params:
        settings=lambda wildcards: as_json("relax"),
        shard=lambda wildcards: wildcards.scatteritem.replace("-of-", "/"),
        work=lambda wildcards: f"results/{config['run']}/work/relax/{wildcards.set}",
    shell:
        r"""
        unimat relax \
            --crystals {input.crystals} \
            --shard {params.shard} \
            --settings {params.settings:q} \
            --work {params.work} \
            --out {output.relaxed} \
            >{log} 2>&1
        """


rule gather:
    input:
        shards=gather.relax("results/<run>/sets/{{set}}/relax/{scatteritem}.parquet"),
        crystals="results/<run>/sets/{set}/crystals.parquet",
    output:
        relaxed="results/<run>/sets/{set}/relaxed.parquet",
        summary="results/<run>/sets/{set}/relaxed.json",
    log:
        "logs/gather/<run>/{set}.log",
    wildcard_constraints:
        set=any_of(sets_of("relax")),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        r"""
        unimat gather \
            --shards {input.shards} \
            --like {input.crystals} \
            --out {output.relaxed} \
            --summary {output.summary} \
            >{log} 2>&1
        """


localrules:
    relax,


rule relax:
    input:
        collect("results/<run>/sets/{set}/relaxed.parquet", set=sets_of("relax")),
