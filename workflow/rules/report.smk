"""Everything of a run -> one page that opens from disk, and its headline numbers."""


localrules:
    configuration,


rule configuration:
    output:
        config="results/<run>/config.json",
    log:
        "logs/configuration/<run>.log",
    conda:
        "../../environment.yml"
    params:
        values=lambda wildcards: effective_configuration(),
    shell:
        "printf '%s\\n' {params.values:q} >{output.config:q} 2>{log:q}"


rule report:
    input:
        rules.dataset.input,
        rules.train.output,
        rules.sets.input,
        rules.metrics.input,
        rules.match.input,
        rules.relax.input,
        rules.hull.input,
        rules.compare.input,
        rules.md.input,
        rules.agreement.input,
        config=rules.configuration.output.config,
    output:
        page=report(
            "results/<run>/report.html",
            category="Report",
            caption="../report/page.rst",
        ),
        headline="results/<run>/headline.json",
        figures=report(
            directory("results/<run>/figures"),
            patterns=["{name}.svg"],
            category="Figures",
            caption="../report/figures.rst",
        ),
    log:
        "logs/report/<run>.log",
    benchmark:
        "benchmarks/report/<run>.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory("report"),
        runtime=minutes("report"),
    params:
        settings=lambda wildcards: as_json("report", {"command": command()}),
        run_dir=subpath(output.page, parent=True),
        benchmarks="benchmarks",
    shell:
        r"""
        unimat report \
            --run-dir {params.run_dir:q} \
            --settings {params.settings:q} \
            --config {input.config:q} \
            --benchmarks {params.benchmarks:q} \
            --out-file {output.page:q} \
            --headline {output.headline:q} \
            --figures {output.figures:q} \
            >{log:q} 2>&1
        """
