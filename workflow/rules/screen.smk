"""Judged sets -> their best crystals for a dearer engine, and how often the cheaper one's verdict held."""


rule screen_set:
    input:
        stability=lambda wildcards: f"results/<run>/sets/{configuration.screened_from(wildcards.set)}/stability.parquet",
        relaxed=lambda wildcards: f"results/<run>/sets/{configuration.screened_from(wildcards.set)}/relaxed.parquet",
        crystals=lambda wildcards: f"results/<run>/sets/{configuration.screened_from(wildcards.set)}/crystals.parquet",
    output:
        crystals="results/<run>/sets/{set}/crystals.parquet",
        rejected="results/<run>/sets/{set}/rejected.parquet",
        summary="results/<run>/sets/{set}/screen.json",
        estimate="results/<run>/sets/{set}/core_hours.csv",
    log:
        "logs/screen/<run>/{set}.log",
    wildcard_constraints:
        set=any_of(sets_from("screen")),
    conda:
        "../../environment.yml"
    threads: cores("screen_set")
    resources:
        mem_mb=memory("screen_set"),
        runtime=minutes("screen_set"),
    params:
        settings=lambda wildcards: as_json("screen", config["sets"][wildcards.set]),
        # Of the engine to come, for the estimate.
        relax=lambda wildcards: as_json("relax", changed("relax", wildcards.set), only=["engine", "force_field", *DFT]),
        judged=lambda wildcards, input: Path(input.stability).parent,
        out=subpath(output.crystals, parent=True),
    shell:
        r"""
        unimat screen \
            --judged {params.judged:q} \
            --settings {params.settings:q} \
            --relax {params.relax:q} \
            --processes {threads} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """


rule agreement_set:
    input:
        a=lambda wildcards: judged_files(configuration.screened_from(wildcards.set)),
        b=lambda wildcards: judged_files(wildcards.set),
    output:
        summary="results/<run>/sets/{set}/agreement.json",
        crystals="results/<run>/sets/{set}/agreement.parquet",
    log:
        "logs/agreement/<run>/{set}.log",
    wildcard_constraints:
        set=any_of(configuration.judged_again()),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory("agreement_set"),
        runtime=minutes("agreement_set"),
    params:
        a=lambda wildcards, input: Path(input.a[0]).parent,
        b=lambda wildcards, input: Path(input.b[0]).parent,
        out=subpath(output.summary, parent=True),
    shell:
        r"""
        unimat agreement \
            --a {params.a:q} \
            --b {params.b:q} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """


localrules:
    screen,
    agreement,


rule screen:
    input:
        collect("results/<run>/sets/{set}/crystals.parquet", set=sets_from("screen")),


rule agreement:
    input:
        collect("results/<run>/sets/{set}/agreement.json", set=configuration.judged_again()),
