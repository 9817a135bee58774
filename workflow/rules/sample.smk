"""A trained model -> sets of generated crystals."""


rule sample_set:
    input:
        model=rules.train.output.model,
        compositions=lambda wildcards: compositions_of(wildcards.set),
        templates=lambda wildcards: shown_to(wildcards.set),
    output:
        crystals="results/<run>/sets/{set}/crystals.parquet",
        rejected="results/<run>/sets/{set}/rejected.parquet",
        sampling="results/<run>/sets/{set}/sampling.json",
    log:
        "logs/sample/<run>/{set}.log",
    benchmark:
        "benchmarks/sample/<run>/{set}.tsv"
    wildcard_constraints:
        set=any_of(sets_from("sample")),
    conda:
        "../../environment.yml"
    threads: cores("sample_set")
    resources:
        mem_mb=memory("sample_set"),
        runtime=minutes("sample_set"),
        launcher="",
    params:
        settings=lambda wildcards: as_json("sample", asked_of(wildcards.set)),
        out=subpath(output.crystals, parent=True),
    shell:
        r"""
        {resources.launcher} unimat sample \
            --model {input.model:q} \
            --settings {params.settings:q} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """


localrules:
    sample,


rule sample:
    input:
        collect("results/<run>/sets/{set}/crystals.parquet", set=sets_from("sample")),
