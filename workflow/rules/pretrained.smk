"""A trained model that ships -> the model of this run, in the place of training one."""


rule train:
    input:
        parameters=parameters_of(config["pretrained"]),
        card=card_beside(parameters_of(config["pretrained"])),
    output:
        model="results/<run>/model/model.npz",
        history="results/<run>/model/history.csv",
        training="results/<run>/model/training.json",
    log:
        "logs/train/<run>.log",
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory("pretrained"),
        runtime=minutes("pretrained"),
    params:
        name=config["pretrained"],
        out=subpath(output.model, parent=True),
    shell:
        r"""
        unimat pretrained {params.name:q} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """
