"""A run -> the numbers and pictures of it that the page of reproduced numbers is made from."""


rule reproduction:
    input:
        rules.dataset.input,
        rules.train.output,
        rules.match.input,
        config=rules.configuration.output.config,
        metrics=f"results/<run>/sets/{settings['reproduction'].set}/metrics.json",
    output:
        result=f"{settings['reproduction'].folder}/<run>.json",
        crystals=f"{settings['reproduction'].folder}/<run>_crystals.svg",
        loss=f"{settings['reproduction'].folder}/<run>_loss.svg",
    log:
        "logs/reproduction/<run>.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory("reproduction"),
        runtime=minutes("reproduction"),
    params:
        settings=lambda wildcards: as_json("reproduction", {"command": command("reproduction")}),
        run_dir=subpath(input.config, parent=True),
        benchmarks="benchmarks",
        out=subpath(output.result, parent=True),
    shell:
        r"""
        unimat reproduction \
            --run-dir {params.run_dir:q} \
            --settings {params.settings:q} \
            --config {input.config:q} \
            --benchmarks {params.benchmarks:q} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """
