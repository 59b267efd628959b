# Convolutions -> surface normals of NYU Depth v2, as words of a codebook on a grid of cells.


rule fetch_nyuv2:
    input:
        run=ancient("results/run.json"),
    output:
        index="resources/nyuv2/index.json",
    log:
        "logs/fetch_nyuv2.log",
    benchmark:
        "benchmarks/fetch_nyuv2.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=240,
        downloads=1,
    params:
        settings=settings("nyuv2"),
        recipe=1,
    message:
        "Bringing NYU Depth v2 in place and checking its split"
    shell:
        "trackssl fetch-nyuv2 --settings {params.settings:q} --out {output.index:q} > {log:q} 2>&1"


rule prepare_normals:
    input:
        index="resources/nyuv2/index.json",
    output:
        prepared=directory("resources/nyuv2/prepared"),
    log:
        "logs/prepare_normals.log",
    benchmark:
        "benchmarks/prepare_normals.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=240,
    params:
        settings=settings("nyuv2"),
        recipe=1,
    message:
        "Normals of NYU Depth v2 at the valid crop, and their codebook"
    shell:
        "trackssl prepare-normals --index {input.index:q} --settings {params.settings:q}"
        " --out {output.prepared:q} --progress progress/prepare_normals > {log:q} 2>&1"


rule train_normals:
    input:
        prepared="resources/nyuv2/prepared",
        weights=initial_weights,
    output:
        weights="results/normals/networks/{network}/seed{seed}/weights.safetensors",
        log=report(
            "results/normals/networks/{network}/seed{seed}/log.jsonl",
            caption="../report/finetuning_log.rst",
            category="Training logs",
            labels={
                "training": "surface normals",
                "network": "{network}",
                "seed": "{seed}",
            },
        ),
    log:
        "logs/train_normals/{network}_seed{seed}.log",
    benchmark:
        "benchmarks/train_normals/{network}_seed{seed}.tsv"
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(16000),
        runtime=1440,
        gpu=RUN.gpus,
    params:
        init=initial_options,
        settings=RUN.normals.model_dump_json(exclude={"networks"}),
        network=IMAGE_NETWORK,
        torch_threads=RUN.torch_threads,
        recipe=1,
    message:
        "Learning surface normals from {wildcards.network}, seed {wildcards.seed}"
    shell:
        "trackssl train-normals --prepared {input.prepared:q} {params.init}"
        " --network {params.network:q} --settings {params.settings:q} --seed {wildcards.seed}"
        " --threads {params.torch_threads} --out {output.weights:q} --log {output.log:q}"
        " --progress progress/train_normals/{wildcards.network}_seed{wildcards.seed} > {log:q} 2>&1"


rule predict_normals:
    input:
        prepared="resources/nyuv2/prepared",
        weights=normals_weights,
    output:
        normals="results/normals/methods/{normals_method}/seed{seed}/test.npy",
        pictures=report(
            "results/normals/methods/{normals_method}/seed{seed}/test.png",
            caption="../report/normals.rst",
            category="Pictures",
            labels={
                "picture": "surface normals",
                "method": "{normals_method}",
                "seed": "{seed}",
            },
        ),
    log:
        "logs/predict_normals/{normals_method}_seed{seed}.log",
    benchmark:
        "benchmarks/predict_normals/{normals_method}_seed{seed}.tsv"
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(8000),
        runtime=120,
        gpu=RUN.gpus,
    params:
        weights=lambda wildcards, input: (
            f"--weights {shlex.quote(str(input.weights))}" if input.weights else ""
        ),
        torch_threads=RUN.torch_threads,
        recipe=1,
    message:
        "Surface normals by {wildcards.normals_method}, seed {wildcards.seed}"
    shell:
        "trackssl predict-normals --prepared {input.prepared:q} {params.weights}"
        " --threads {params.torch_threads} --out {output.normals:q}"
        " --pictures {output.pictures:q} > {log:q} 2>&1"


rule score_normals:
    input:
        prepared="resources/nyuv2/prepared",
        normals="results/normals/methods/{normals_method}/seed{seed}/test.npy",
        code=modules("normals/metrics.py", "normals/scoring.py", "normals/codebook.py"),
    output:
        scores="results/normals/methods/{normals_method}/seed{seed}/scores.json",
    log:
        "logs/score_normals/{normals_method}_seed{seed}.log",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=60,
    message:
        "Angular errors of {wildcards.normals_method}, seed {wildcards.seed}"
    shell:
        "trackssl score-normals --prepared {input.prepared:q} --predictions {input.normals:q}"
        " --out {output.scores:q} > {log:q} 2>&1"


rule nyu_normals:
    input:
        run="results/run.json",
        index="resources/nyuv2/index.json",
        scores=[row["scores"] for row in normals_rows()],
        networks=sorted({path for row in normals_rows() for path in row["networks"]}),
        code=modules(
            "report/nyu_normals.py",
            "report/rows.py",
            "report/paper_values.csv",
            "tables.py",
        ),
    output:
        table=report(
            "results/nyu_normals.csv",
            caption="../report/nyu_normals.rst",
            category="Tables",
            labels={"benchmark": "surface normals", "values": "each seed"},
        ),
        summary=report(
            "results/nyu_normals_summary.csv",
            caption="../report/summary.rst",
            category="Tables",
            labels={"benchmark": "surface normals", "values": "mean and spread"},
        ),
    log:
        "logs/nyu_normals.log",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        rows=json.dumps(normals_rows()),
        data=settings("nyuv2"),
        settings=settings("normals"),
        network=IMAGE_NETWORK,
    message:
        "Writing results/nyu_normals.csv"
    shell:
        "trackssl nyu-normals --run {input.run:q} --index {input.index:q} --data {params.data:q}"
        " --settings {params.settings:q} --network {params.network:q} --rows {params.rows:q}"
        " --out {output.table:q} --summary {output.summary:q} > {log:q} 2>&1"
