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
        set=any_of(configuration.relaxed(dft=False)),
    conda:
        "../../environment.yml"
    threads: cores("relax_shard")
    resources:
        mem_mb=memory("relax_shard"),
        runtime=minutes("relax_shard"),
    params:
        settings=lambda wildcards: as_json("relax", changed("relax", wildcards.set)),
        shard=lambda wildcards: wildcards.scatteritem.replace("-of-", "/"),
        work=f"results/{config['run']}/work/relax",
        cache=cache_flag(),
    shell:
        r"""
        unimat relax \
            --crystals {input.crystals:q} \
            --shard {params.shard:q} \
            --settings {params.settings:q} \
            --work {params.work:q} \
            {params.cache:q} \
            --out-file {output.relaxed:q} \
            >{log:q} 2>&1
        """


# A rule of its own, so that a profile can give DFT nodes, tasks and hours that a force field does not need.
use rule relax_shard as relax_crystal with:
    wildcard_constraints:
        set=any_of(configuration.relaxed(dft=True)),
    resources:
        mem_mb=memory("relax_crystal"),
        runtime=minutes("relax_crystal"),


rule gather:
    input:
        shards=lambda wildcards: shard_files(wildcards.set),
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
        mem_mb=memory("gather"),
        runtime=minutes("gather"),
    shell:
        r"""
        unimat gather \
            --shards {input.shards:q} \
            --like {input.crystals:q} \
            --out-file {output.relaxed:q} \
            --summary {output.summary:q} \
            >{log:q} 2>&1
        """


localrules:
    relax,


rule relax:
    input:
        collect("results/<run>/sets/{set}/relaxed.parquet", set=sets_of("relax")),
