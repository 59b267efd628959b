# Pairs -> convolutions by ranking; and back to ranking from fine-tuned ones (iterative fine-tuning).
# Or convolutions that others trained, from Caffe's files.


rule pretrain:
    input:
        sets="results/pairs/sets.parquet",
        pairs=expand("results/pairs/{shard}.arrow", shard=SHARDS),
    output:
        weights="results/pretraining/{network}/seed{seed}/weights.safetensors",
        log=report(
            "results/pretraining/{network}/seed{seed}/log.jsonl",
            caption="../report/pretraining_log.rst",
            category="Training logs",
            labels={"training": "ranking", "network": "{network}", "seed": "{seed}"},
        ),
    log:
        "logs/pretrain/{network}_seed{seed}.log",
    benchmark:
        "benchmarks/pretrain/{network}_seed{seed}.tsv"
    wildcard_constraints:
        network=any_of(networks_of("pairs")),
    priority: 10  # the longest chain of the graph: iterative fine-tuning
    conda:
        CONDA
    threads: PRETRAINING_THREADS
    resources:
        **PRETRAINING_PLACE,
        mem_mb=growing(16000),
        runtime=10080,
    params:
        learnt=learnt_by,
        settings=lambda wildcards, input: pretraining_section(
            wildcards
        ).model_dump_json(),
        data=lambda wildcards, input: settings("data"),
        devices=DEVICES,
        launcher=lambda wildcards, input: LAUNCHER,
        set=lambda wildcards: RUN.pair_set(wildcards.network),
        network=settings("network"),
        torch_threads=RUN.torch_threads,
        recipe=2,
    message:
        "Pre-training {wildcards.network}, seed {wildcards.seed}"
    shell:
        "{params.launcher}trackssl pretrain --pairs {input.sets:q} --set {params.set:q}"
        " --settings {params.settings:q} --network {params.network:q}"
        " --data {params.data:q} --seed {wildcards.seed}"
        " --threads {params.torch_threads} --devices {params.devices}"
        " --tensorboard logs/tensorboard/{wildcards.network}_seed{wildcards.seed}"
        " --out {output.weights:q} --log {output.log:q}"
        " --progress progress/pretrain/{wildcards.network}_seed{wildcards.seed} > {log:q} 2>&1"


rule readapt:
    input:
        sets="results/pairs/sets.parquet",
        pairs=expand("results/pairs/{shard}.arrow", shard=SHARDS),
        weights=readapted_weights,
    output:
        weights="results/pretraining{year}/{network}/seed{seed}/weights.safetensors",
        log=report(
            "results/pretraining{year}/{network}/seed{seed}/log.jsonl",
            caption="../report/pretraining_log.rst",
            category="Training logs",
            labels={
                "training": "ranking again",
                "network": "{network}",
                "seed": "{seed}",
            },
        ),
    log:
        "logs/readapt{year}/{network}_seed{seed}.log",
    benchmark:
        "benchmarks/readapt{year}/{network}_seed{seed}.tsv"
    wildcard_constraints:
        network=any_of(networks_of("readapted")),
    priority: 10  # the longest chain of the graph: iterative fine-tuning
    conda:
        CONDA
    threads: PRETRAINING_THREADS
    resources:
        **PRETRAINING_PLACE,
        mem_mb=growing(16000),
        runtime=10080,
    params:
        learnt=learnt_by,
        settings=lambda wildcards, input: pretraining_section(
            wildcards
        ).model_dump_json(),
        data=lambda wildcards, input: settings("data"),
        devices=DEVICES,
        launcher=lambda wildcards, input: LAUNCHER,
        readaptation=settings("readaptation"),
        set=lambda wildcards: RUN.pair_set(wildcards.network),
        network=settings("network"),
        torch_threads=RUN.torch_threads,
        recipe=2,
    message:
        "Back to ranking: {wildcards.network}, seed {wildcards.seed}"
    shell:
        "{params.launcher}trackssl readapt --weights {input.weights:q} --pairs {input.sets:q} --set {params.set:q}"
        " --settings {params.settings:q} --readaptation {params.readaptation:q}"
        " --network {params.network:q} --data {params.data:q} --seed {wildcards.seed}"
        " --threads {params.torch_threads} --devices {params.devices}"
        " --tensorboard logs/tensorboard/{wildcards.network}{wildcards.year}_seed{wildcards.seed}"
        " --out {output.weights:q} --log {output.log:q}"
        " --progress progress/readapt{wildcards.year}/{wildcards.network}_seed{wildcards.seed} > {log:q} 2>&1"


rule import_weights:
    input:
        run=ancient("results/run.json"),
        source=lambda wildcards: RUN.networks[wildcards.network].path or [],
    output:
        weights="results/pretraining/{network}/weights.safetensors",
    log:
        "logs/import_weights/{network}.log",
    benchmark:
        "benchmarks/import_weights/{network}.tsv"
    wildcard_constraints:
        network=any_of(networks_of("caffemodel")),
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=240,
        downloads=1,
    params:
        source=import_options,
        recipe=1,
    message:
        "Taking in the weights of {wildcards.network}"
    shell:
        "trackssl import-weights {params.source} --out {output.weights:q}"
        " --progress progress/import_weights/{wildcards.network} > {log:q} 2>&1"
