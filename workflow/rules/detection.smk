# Convolutions -> R-CNN on PASCAL VOC -> devkit files and AP. Networks are trained once, methods join
# the features of one or more of them.


rule fetch_voc:
    input:
        run=ancient("results/run.json"),
    output:
        index="resources/voc{year}/index.json",
    log:
        "logs/fetch_voc{year}.log",
    benchmark:
        "benchmarks/fetch_voc{year}.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=240,
        downloads=1,
    params:
        settings=lambda wildcards: voc(wildcards).model_dump_json(),
        recipe=1,
    message:
        "Bringing PASCAL VOC in place and checking its annotations"
    shell:
        "trackssl fetch-voc --settings {params.settings:q} --out {output.index:q} > {log:q} 2>&1"


rule propose_windows:
    input:
        voc="resources/voc{year}/index.json",
        boxes=own_boxes,
    output:
        proposals="results/detection{year}/proposals/{split}.arrow",
    log:
        "logs/propose_windows{year}/{split}.log",
    benchmark:
        "benchmarks/propose_windows{year}/{split}.tsv"
    conda:
        CONDA
    threads: 16
    resources:
        mem_mb=growing(8000),
        runtime=240,
    params:
        settings=settings("proposals"),
        recipe=1,
    message:
        "Selective search on VOC {wildcards.split}"
    shell:
        "trackssl propose-windows --voc {input.voc:q} --split {wildcards.split}"
        " --settings {params.settings:q} --processes {threads} --out {output.proposals:q}"
        " --progress progress/propose_windows{wildcards.year}/{wildcards.split} > {log:q} 2>&1"


rule finetune_detector:
    input:
        voc="resources/voc{year}/index.json",
        proposals=split_proposals("train_split"),
        weights=initial_weights,
    output:
        weights="results/detection{year}/networks/{network}/seed{seed}/weights.safetensors",
        log=report(
            "results/detection{year}/networks/{network}/seed{seed}/log.jsonl",
            caption="../report/finetuning_log.rst",
            category="Training logs",
            labels={"training": "detection", "network": "{network}", "seed": "{seed}"},
        ),
    log:
        "logs/finetune_detector{year}/{network}_seed{seed}.log",
    benchmark:
        "benchmarks/finetune_detector{year}/{network}_seed{seed}.tsv"
    priority: 10  # the longest chain of the graph: iterative fine-tuning
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(16000),
        runtime=2880,
        gpu=RUN.gpus,
    params:
        init=initial_options,
        split=lambda wildcards: voc(wildcards).train_split,
        settings=settings("finetuning"),
        network=settings("network"),
        torch_threads=RUN.torch_threads,
        recipe=2,
    message:
        "Fine-tuning {wildcards.network}, seed {wildcards.seed}"
    shell:
        "trackssl finetune --voc {input.voc:q} --split {params.split}"
        " --proposals {input.proposals:q} {params.init} --network {params.network:q}"
        " --settings {params.settings:q} --seed {wildcards.seed}"
        " --threads {params.torch_threads} --out {output.weights:q} --log {output.log:q}"
        " --progress progress/finetune{wildcards.year}/{wildcards.network}_seed{wildcards.seed} > {log:q} 2>&1"


rule extract_features:
    input:
        voc="resources/voc{year}/index.json",
        proposals="results/detection{year}/proposals/{split}.arrow",
        weights=feature_weights,
    output:
        features=temp(
            "results/detection{year}/features/{network}/seed{seed}/{state}_{layer}/{split}.npy"
        ),
    log:
        "logs/extract_features{year}/{network}_seed{seed}_{state}_{layer}_{split}.log",
    benchmark:
        "benchmarks/extract_features{year}/{network}_seed{seed}_{state}_{layer}_{split}.tsv"
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(16000),
        runtime=1440,
        gpu=RUN.gpus,
    params:
        network=feature_options,
        context_px=RUN.finetuning.context_px,
        torch_threads=RUN.torch_threads,
        recipe=2,
    message:
        "Features of {wildcards.network}, seed {wildcards.seed}, on VOC {wildcards.split}"
        " ({wildcards.state}, {wildcards.layer})"
    shell:
        "trackssl extract-features {params.network} --voc {input.voc:q}"
        " --split {wildcards.split} --proposals {input.proposals:q} --layer {wildcards.layer}"
        " --threads {params.torch_threads} --out {output.features:q}"
        " --progress progress/extract_features{wildcards.year}/{wildcards.network}_seed{wildcards.seed}"
        "_{wildcards.state}_{wildcards.layer}_{wildcards.split} > {log:q} 2>&1"


rule train_svms:
    input:
        voc="resources/voc{year}/index.json",
        proposals=split_proposals("train_split"),
        features=member_features("train_split"),
    output:
        svms="results/detection{year}/methods/{method}/seed{seed}/svms.safetensors",
    log:
        "logs/train_svms{year}/{method}_seed{seed}.log",
    benchmark:
        "benchmarks/train_svms{year}/{method}_seed{seed}.tsv"
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(16000),
        runtime=1440,
    params:
        split=lambda wildcards: voc(wildcards).train_split,
        settings=settings("svm"),
        features=lambda wildcards, input: " ".join(
            f"--features '{f}'" for f in input.features
        ),
        torch_threads=RUN.torch_threads,
        recipe=2,
    message:
        "SVMs of {wildcards.method}, seed {wildcards.seed}"
    shell:
        "trackssl train-svms --voc {input.voc:q} --split {params.split}"
        " --proposals {input.proposals:q} {params.features} --settings {params.settings:q}"
        " --threads {params.torch_threads} --out {output.svms:q} > {log:q} 2>&1"


rule detect:
    input:
        voc="resources/voc{year}/index.json",
        proposals=split_proposals("test_split"),
        svms="results/detection{year}/methods/{method}/seed{seed}/svms.safetensors",
        features=member_features("test_split"),
    output:
        detections=directory(
            "results/detection{year}/methods/{method}/seed{seed}/detections"
        ),
    log:
        "logs/detect{year}/{method}_seed{seed}.log",
    benchmark:
        "benchmarks/detect{year}/{method}_seed{seed}.tsv"
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(16000),
        runtime=480,
    params:
        split=lambda wildcards: voc(wildcards).test_split,
        settings=settings("svm"),
        features=lambda wildcards, input: " ".join(
            f"--features '{f}'" for f in input.features
        ),
        torch_threads=RUN.torch_threads,
        recipe=2,
    message:
        "Detecting with {wildcards.method}, seed {wildcards.seed}"
    shell:
        "trackssl detect-windows --svms {input.svms:q} --voc {input.voc:q}"
        " --split {params.split} --proposals {input.proposals:q} {params.features}"
        " --settings {params.settings:q} --threads {params.torch_threads}"
        " --out {output.detections:q} > {log:q} 2>&1"


rule score_detections:
    input:
        voc="resources/voc{year}/index.json",
        detections="results/detection{year}/methods/{method}/seed{seed}/detections",
        code=modules(
            "detection/average_precision.py",
            "detection/detection_files.py",
            "datasets/voc.py",
            "tables.py",
        ),
    output:
        ap="results/detection{year}/methods/{method}/seed{seed}/ap.csv",
        curves="results/detection{year}/methods/{method}/seed{seed}/precision_recall.parquet",
    log:
        "logs/score_detections{year}/{method}_seed{seed}.log",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        devkit=lambda wildcards: voc(wildcards).devkit,
        year=lambda wildcards: voc(wildcards).year,
        rule=lambda wildcards: voc(wildcards).rule,
        split=lambda wildcards: voc(wildcards).test_split,
    message:
        "Average precision of {wildcards.method}, seed {wildcards.seed}"
    shell:
        "trackssl voc-ap --detections {input.detections:q} --devkit {params.devkit:q}"
        " --year {params.year} --rule {params.rule} --split {params.split} --out {output.ap:q}"
        " --curves {output.curves:q} > {log:q} 2>&1"
