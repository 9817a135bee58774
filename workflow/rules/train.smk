"""Encoded crystals -> a trained model. Checkpoints live in a working folder that is no output."""


rule train:
    input:
        train=rules.encode.output.train,
        val=rules.encode.output.val,
        encoding=rules.encode.output.encoding,
        initial=initial_parameters(),
    output:
        model="results/<run>/model/model.npz",
        history="results/<run>/model/history.csv",
        training="results/<run>/model/training.json",
    log:
        "logs/train/<run>.log",
    benchmark:
        "benchmarks/train/<run>.tsv"
    conda:
        "../../environment.yml"
    threads: cores("train")
    resources:
        mem_mb=memory("train"),
        runtime=minutes("train"),
        launcher="",
    params:
        settings=lambda wildcards: as_json("train"),
        model=lambda wildcards: as_json("model"),
        encoded=subpath(input.encoding, parent=True),
        work=training_folder(),
        out=subpath(output.model, parent=True),
    shell:
        r"""
        {resources.launcher} unimat train \
            --encoded {params.encoded:q} \
            --settings {params.settings:q} \
            --model-settings {params.model:q} \
            --work {params.work:q} \
            --out {params.out:q} \
            >{log:q} 2>&1
        """
