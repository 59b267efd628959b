# Pairs -> convolutions by ranking; and back to ranking from fine-tuned ones (iterative fine-tuning).


rule pretrain:
    input:
        sets="results/pairs/sets.parquet",
        pairs=expand("results/pairs/{shard}.arrow", shard=SHARDS),
    output:
        weights="results/pretraining/{network}/seed{seed}/weights.safetensors",
        log="results/pretraining/{network}/seed{seed}/log.jsonl",
    log:
        "logs/pretrain/{network}_seed{seed}.log",
    benchmark:
        "benchmarks/pretrain/{network}_seed{seed}.tsv"
    wildcard_constraints:
        network=any_of(networks_of("pairs")),
    priority: 10  # the longest chain of the graph: iterative fine-tuning
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=16000,
        runtime=10080,
        gpu=RUN.gpus,
    params:
        settings=pretraining_settings,
        set=lambda wildcards: RUN.pair_set(wildcards.network),
        network=settings("network"),
        torch_threads=RUN.torch_threads,
        recipe=1,
    message:
        "Pre-training {wildcards.network}, seed {wildcards.seed}"
    shell:
        "trackssl pretrain --pairs {input.sets:q} --set {params.set:q}"
        " --settings {params.settings:q} --network {params.network:q}"
        " --seed {wildcards.seed} --threads {params.torch_threads}"
        " --out {output.weights:q} --log {output.log:q}"
        " --progress progress/pretrain/{wildcards.network}_seed{wildcards.seed} > {log:q} 2>&1"


rule readapt:
    input:
        sets="results/pairs/sets.parquet",
        pairs=expand("results/pairs/{shard}.arrow", shard=SHARDS),
        weights=readapted_weights,
    output:
        weights="results/pretraining/{network}/seed{seed}/weights.safetensors",
        log="results/pretraining/{network}/seed{seed}/log.jsonl",
    log:
        "logs/readapt/{network}_seed{seed}.log",
    benchmark:
        "benchmarks/readapt/{network}_seed{seed}.tsv"
    wildcard_constraints:
        network=any_of(networks_of("readapted")),
    priority: 10  # the longest chain of the graph: iterative fine-tuning
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=16000,
        runtime=10080,
        gpu=RUN.gpus,
    params:
        settings=pretraining_settings,
        readaptation=settings("readaptation"),
        set=lambda wildcards: RUN.pair_set(wildcards.network),
        network=settings("network"),
        torch_threads=RUN.torch_threads,
        recipe=1,
    message:
        "Back to ranking: {wildcards.network}, seed {wildcards.seed}"
    shell:
        "trackssl readapt --weights {input.weights:q} --pairs {input.sets:q} --set {params.set:q}"
        " --settings {params.settings:q} --readaptation {params.readaptation:q}"
        " --network {params.network:q} --seed {wildcards.seed} --threads {params.torch_threads}"
        " --out {output.weights:q} --log {output.log:q}"
        " --progress progress/readapt/{wildcards.network}_seed{wildcards.seed} > {log:q} 2>&1"
