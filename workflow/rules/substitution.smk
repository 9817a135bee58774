"""Known crystals, their elements exchanged -> sets of candidates for given compositions, or of new compositions."""


rule substitution_set:
    input:
        templates=lambda wildcards: table_files(configuration.templates_of(wildcards.set)),
        known=lambda wildcards: table_files(configuration.known_of(wildcards.set)),
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
        templates=lambda wildcards, input: tables_flag(
            "templates", input.templates, configuration.templates_of(wildcards.set)
        ),
        known=lambda wildcards, input: tables_flag("known", input.known, configuration.known_of(wildcards.set)),
        settings=lambda wildcards: as_json(
            "substitution", asked_of(wildcards.set), only=substitution_keys(wildcards.set)
        ),
        out=subpath(output.crystals, parent=True),
    shell:
        r"""
        unimat substitute \
            {params.templates:q} \
            {params.known:q} \
            --settings {params.settings:q} \
            --processes {threads} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """
