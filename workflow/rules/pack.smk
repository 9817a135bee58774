"""This run for a machine elsewhere, and what that machine gave back. Both are done anew whenever they are asked for.

An archive holds the code and the checkpoints of the moment, of which no rule knows, so it is no declared output.
"""


include: "packing.smk"


localrules:
    pack,
    absorb,


rule pack:
    input:
        needed_to_pack(),
    log:
        "logs/pack/<run>.log",
    conda:
        "../../environment.yml"
    resources:
        flags="",
    params:
        training=training_flags(),
        model=model_flag(),
        sets=sample_settings(),
        name=config["run"],
        archive=f"results/{config['run']}/packed/{config['run']}.tar.gz",
    shell:
        r"""
        unimat pack \
            {params.training:q} \
            {params.model:q} \
            --sets {params.sets:q} \
            --name {params.name:q} \
            {resources.flags} \
            --out-file {params.archive:q} \
            >{log:q} 2>&1
        cat {log:q}
        """


rule absorb:
    input:
        needed_to_pack(),
    log:
        "logs/absorb/<run>.log",
    conda:
        "../../environment.yml"
    params:
        collected=f"results/{config['run']}/collected",
        training=training_flags(),
        model=f"results/{config['run']}/model",
        sets=sample_settings(),
        sets_out=f"results/{config['run']}/sets",
    shell:
        r"""
        unimat absorb \
            --collected {params.collected:q} \
            {params.training:q} \
            --out {params.model:q} \
            --sets {params.sets:q} \
            --sets-out {params.sets_out:q} \
            >{log:q} 2>&1
        cat {log:q}
        """
