"""Crystal tables -> shards of compact arrays over the periodic table."""


rule encode:
    input:
        train=rules.ingest.output.train,
        val=rules.ingest.output.val,
        test=rules.ingest.output.test,
    output:
        train=directory("results/<run>/encoded/train"),
        val=directory("results/<run>/encoded/val"),
        test=directory("results/<run>/encoded/test"),
        encoding="results/<run>/encoded/encoding.json",
        rejected="results/<run>/encoded/rejected.parquet",
    log:
        "logs/encode/<run>.log",
    benchmark:
        "benchmarks/encode/<run>.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory("encode"),
        runtime=minutes("encode"),
    params:
        settings=lambda wildcards: as_json("encode"),
        out=subpath(output.encoding, parent=True),
    shell:
        r"""
        unimat encode \
            --train {input.train:q} \
            --val {input.val:q} \
            --test {input.test:q} \
            --settings {params.settings:q} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """
