# MIT Indoor 67: fixed features, fine-tuned networks and baselines -> accuracies and their table.


rule fetch_mit67:
    input:
        run=ancient("results/run.json"),
    output:
        index="resources/mit67/index.json",
    log:
        "logs/fetch_mit67.log",
    benchmark:
        "benchmarks/fetch_mit67.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=240,
        downloads=1,
    params:
        settings=RUN.scenes.model_dump_json(
            exclude={"networks", "baselines", "classifier", "finetuning"}
        ),
        recipe=1,
    message:
        "Bringing MIT Indoor 67 in place and decoding its images"
    shell:
        "trackssl fetch-mit67 --settings {params.settings:q} --out {output.index:q} > {log:q} 2>&1"


rule classify_scenes:
    input:
        images="resources/mit67/index.json",
        train="results/scenes/features/{network}/seed{seed}/as_is_pool5/train.npy",
        test="results/scenes/features/{network}/seed{seed}/as_is_pool5/test.npy",
    output:
        multiext(
            "results/scenes/linear/{network}/seed{seed}/",
            "metrics.json",
            "predictions.csv",
            "confusion.csv",
        ),
        report(
            "results/scenes/linear/{network}/seed{seed}/confusion.png",
            caption="../report/confusion.rst",
            category="Pictures",
            labels={
                "picture": "scenes mistaken",
                "method": "{network}",
                "seed": "{seed}",
            },
        ),
    log:
        "logs/classify_scenes/{network}_seed{seed}.log",
    benchmark:
        "benchmarks/classify_scenes/{network}_seed{seed}.tsv"
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(8000),
        runtime=240,
    params:
        folder=subpath(output[0], parent=True),
        settings=scene_settings("classifier"),
        torch_threads=RUN.torch_threads,
        recipe=1,
    message:
        "Linear softmax on scenes, {wildcards.network}, seed {wildcards.seed}"
    shell:
        "trackssl classify-scenes --images {input.images:q} --train {input.train:q}"
        " --test {input.test:q} --settings {params.settings:q}"
        " --threads {params.torch_threads} --out {params.folder:q} > {log:q} 2>&1"


rule finetune_scenes:
    input:
        images="resources/mit67/index.json",
        weights=initial_weights,
    output:
        multiext(
            "results/scenes/finetuned/{network}/seed{seed}/",
            "metrics.json",
            "predictions.csv",
            "confusion.csv",
            "weights.safetensors",
            "log.jsonl",
        ),
        report(
            "results/scenes/finetuned/{network}/seed{seed}/confusion.png",
            caption="../report/confusion.rst",
            category="Pictures",
            labels={
                "picture": "scenes mistaken",
                "method": "{network}, fine-tuned",
                "seed": "{seed}",
            },
        ),
    log:
        "logs/finetune_scenes/{network}_seed{seed}.log",
    benchmark:
        "benchmarks/finetune_scenes/{network}_seed{seed}.tsv"
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(16000),
        runtime=1440,
        gpu=RUN.gpus,
    params:
        folder=subpath(output[0], parent=True),
        init=initial_options,
        settings=scene_settings("finetuning"),
        network=IMAGE_NETWORK,
        torch_threads=RUN.torch_threads,
        recipe=1,
    message:
        "Fine-tuning {wildcards.network} on scenes, seed {wildcards.seed}"
    shell:
        "trackssl finetune-scenes --images {input.images:q} {params.init}"
        " --network {params.network:q} --settings {params.settings:q} --seed {wildcards.seed}"
        " --threads {params.torch_threads} --out {params.folder:q}"
        " --progress progress/finetune_scenes/{wildcards.network}_seed{wildcards.seed}"
        " > {log:q} 2>&1"


rule scenes_baseline:
    input:
        images="resources/mit67/index.json",
    output:
        multiext(
            "results/scenes/baselines/{baseline}/seed{seed}/",
            "metrics.json",
            "predictions.csv",
            "confusion.csv",
        ),
        report(
            "results/scenes/baselines/{baseline}/seed{seed}/confusion.png",
            caption="../report/confusion.rst",
            category="Pictures",
            labels={
                "picture": "scenes mistaken",
                "method": "{baseline}",
                "seed": "{seed}",
            },
        ),
    log:
        "logs/scenes_baseline/{baseline}_seed{seed}.log",
    benchmark:
        "benchmarks/scenes_baseline/{baseline}_seed{seed}.tsv"
    wildcard_constraints:
        baseline=any_of(RUN.scenes.baselines),
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(8000),
        runtime=240,
    params:
        folder=subpath(output[0], parent=True),
        settings=scene_settings("classifier"),
        torch_threads=RUN.torch_threads,
        recipe=1,
    message:
        "{wildcards.baseline} on scenes, seed {wildcards.seed}"
    shell:
        "trackssl scenes-baseline {wildcards.baseline} --images {input.images:q}"
        " --settings {params.settings:q} --seed {wildcards.seed}"
        " --threads {params.torch_threads} --out {params.folder:q} > {log:q} 2>&1"


rule mit67_accuracy:
    input:
        run="results/run.json",
        images="resources/mit67/index.json",
        metrics=[row["metrics"] for row in scene_rows()],
        networks=sorted({path for row in scene_rows() for path in row["networks"]}),
        code=modules(
            "report/mit67_accuracy.py",
            "report/rows.py",
            "report/paper_values.csv",
            "tables.py",
        ),
    output:
        table=report(
            "results/mit67_accuracy.csv",
            caption="../report/mit67_accuracy.rst",
            category="Tables",
            labels={"benchmark": "scenes", "values": "each seed"},
        ),
        summary=report(
            "results/mit67_accuracy_summary.csv",
            caption="../report/summary.rst",
            category="Tables",
            labels={"benchmark": "scenes", "values": "mean and spread"},
        ),
    log:
        "logs/mit67_accuracy.log",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        rows=json.dumps(scene_rows()),
        settings=scene_settings("source", "baselines"),
        network=IMAGE_NETWORK,
    message:
        "Writing results/mit67_accuracy.csv"
    shell:
        "trackssl mit67-accuracy --run {input.run:q} --images {input.images:q}"
        " --settings {params.settings:q} --network {params.network:q} --rows {params.rows:q}"
        " --out {output.table:q} --summary {output.summary:q} > {log:q} 2>&1"
