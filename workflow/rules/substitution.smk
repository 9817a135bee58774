"""Known crystals, their elements exchanged -> sets of candidates for given compositions."""


rule substitution_set:
    input:
        templates=lambda wildcards: template_files(wildcards.set),
        compositions=lambda wildcards: compositions_of(wildcards.set, "substitution"),
    output:
        crystals="results/<run>/sets/{set}/crystals.parquet",
        rejected="results/<run>/sets/{set}/rejected.parquet",
    log:
        "logs/substitution/<run>/{set}.log",
    benchmark:
        "benchmarks/substitution/<run>/{set}.tsv"
    wildcard_constraints:
        set=any_of(sets_from("substitution")),
    conda:
        "../../environment.yml"
    threads: cores("substitution_set")
    resources:
        mem_mb=memory("substitution_set"),
        runtime=minutes("substitution_set"),
    params:
        named=lambda wildcards: [
            word for word, kind in configuration.templates_of(wildcards.set).items() if kind == "name"
        ],
        settings=lambda wildcards: as_json(
            "substitution", asked_of(wildcards.set), only=["compositions", "count", "any_units", "without_own"]
        ),
        out=subpath(output.crystals, parent=True),
    shell:
        r"""
        unimat substitute \
            --templates {input.templates:q} {params.named:q} \
            --settings {params.settings:q} \
            --processes {threads} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """
