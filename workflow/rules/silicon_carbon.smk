"""The embedded dataset, remade: not part of any run, see config/silicon_carbon.yaml."""


rule silicon_carbon:
    input:
        relaxed="results/silicon_carbon/sets/search/relaxed.parquet",
    output:
        crystals="results/silicon_carbon/crystals.parquet",
    log:
        "logs/silicon_carbon.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory("silicon_carbon"),
        runtime=minutes("silicon_carbon"),
    params:
        # eV/atom; what lies higher above the search's own hull is no crystal that anybody would look for.
        max_e_above_hull=2.0,
    script:
        "../scripts/silicon_carbon.py"
