"""Sets that no model made: rows of a split, files that somebody brings, a random structure search."""


rule select_set:
    input:
        crystals=lambda wildcards: f"results/<run>/dataset/{config['sets'][wildcards.set]['split']}.parquet",
    output:
        crystals="results/<run>/sets/{set}/crystals.parquet",
        rejected="results/<run>/sets/{set}/rejected.parquet",
    log:
        "logs/select/<run>/{set}.log",
    wildcard_constraints:
        set=any_of(sets_from("split")),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory("select_set"),
        runtime=minutes("select_set"),
    params:
        rows=lambda wildcards: selection(wildcards.set),
        out=subpath(output.crystals, parent=True),
    shell:
        r"""
        unimat select \
            --crystals {input.crystals:q} \
            {params.rows:q} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """


rule compositions:
    input:
        crystals=lambda wildcards: f"results/<run>/sets/{truths_of(wildcards.set)}/crystals.parquet",
    output:
        formulas="results/<run>/compositions/{set}.csv",
    log:
        "logs/compositions/<run>/{set}.log",
    wildcard_constraints:
        set=any_of(configuration.made_for_others()),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory("compositions"),
        runtime=minutes("compositions"),
    shell:
        r"""
        unimat compositions \
            --crystals {input.crystals:q} \
            --out-file {output.formulas:q} \
            >{log:q} 2>&1
        """


rule convert_set:
    input:
        crystals=lambda wildcards: str(Path(config["sets"][wildcards.set]["path"]).expanduser()),
    output:
        crystals="results/<run>/sets/{set}/crystals.parquet",
        rejected="results/<run>/sets/{set}/rejected.parquet",
    log:
        "logs/convert/<run>/{set}.log",
    wildcard_constraints:
        set=any_of(sets_from("file")),
    conda:
        "../../environment.yml"
    threads: cores("convert_set")
    resources:
        mem_mb=memory("convert_set"),
        runtime=minutes("convert_set"),
    params:
        settings=lambda wildcards: as_json("convert", config["sets"][wildcards.set]),
    shell:
        r"""
        unimat convert \
            {input.crystals:q} \
            {output.crystals:q} \
            --settings {params.settings:q} \
            --processes {threads} \
            --rejected {output.rejected:q} \
            >{log:q} 2>&1
        """


rule airss_set:
    input:
        compositions=lambda wildcards: compositions_of(wildcards.set, "airss"),
    output:
        crystals="results/<run>/sets/{set}/crystals.parquet",
        rejected="results/<run>/sets/{set}/rejected.parquet",
    log:
        "logs/airss/<run>/{set}.log",
    benchmark:
        "benchmarks/airss/<run>/{set}.tsv"
    wildcard_constraints:
        set=any_of(sets_from("airss")),
    conda:
        "../../environment.yml"
    threads: cores("airss_set")
    resources:
        mem_mb=memory("airss_set"),
        runtime=minutes("airss_set"),
    params:
        settings=lambda wildcards: as_json("airss", asked_of(wildcards.set)),
        out=subpath(output.crystals, parent=True),
    shell:
        r"""
        unimat airss \
            --settings {params.settings:q} \
            --processes {threads} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """


localrules:
    sets,


rule sets:
    input:
        collect("results/<run>/sets/{set}/crystals.parquet", set=config.get("sets", {})),
