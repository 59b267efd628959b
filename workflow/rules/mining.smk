# Videos -> windows that move -> pairs of patches, 30 frames apart -> the nested training sets.


rule mine_patches:
    input:
        manifest="resources/manifests/{shard}.parquet",
    output:
        patches="results/patches/{shard}.parquet",
        summary=report(
            "results/patches/{shard}.json",
            caption="../report/patches.rst",
            category="Mining",
            labels={"what": "windows and rejected frames", "shard": "{shard}"},
        ),
    log:
        "logs/mine_patches/{shard}.log",
    benchmark:
        "benchmarks/mine_patches/{shard}.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=480,
    params:
        settings=settings("mining"),
        recipe=2,
    message:
        "Mining the patches of shard {wildcards.shard}"
    shell:
        "trackssl mine-patches --manifest {input.manifest:q} --settings {params.settings:q}"
        " --out {output.patches:q} --summary {output.summary:q}"
        " --progress progress/mine_patches/{wildcards.shard} > {log:q} 2>&1"


rule track_patches:
    input:
        manifest="resources/manifests/{shard}.parquet",
        patches="results/patches/{shard}.parquet",
    output:
        pairs="results/pairs/{shard}.arrow",
        summary=report(
            "results/pairs/{shard}.json",
            caption="../report/pairs.rst",
            category="Mining",
            labels={"what": "pairs and lost tracks", "shard": "{shard}"},
        ),
    log:
        "logs/track_patches/{shard}.log",
    benchmark:
        "benchmarks/track_patches/{shard}.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=480,
    params:
        settings=settings("mining"),
        recipe=2,
    message:
        "Tracking the patches of shard {wildcards.shard}"
    shell:
        "trackssl track-patches --patches {input.patches:q} --manifest {input.manifest:q}"
        " --settings {params.settings:q} --out {output.pairs:q} --summary {output.summary:q}"
        " --progress progress/track_patches/{wildcards.shard} > {log:q} 2>&1"


rule merge_pairs:
    input:
        pairs=expand("results/pairs/{shard}.arrow", shard=SHARDS),
    output:
        sets="results/pairs/sets.parquet",
    log:
        "logs/merge_pairs.log",
    benchmark:
        "benchmarks/merge_pairs.tsv"
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=60,
    params:
        shards=lambda wildcards, input: len(input.pairs),
        pattern=lambda wildcards, input: str(input.pairs[0]).replace(
            f"{SHARDS[0]}.arrow", "{shard}.arrow"
        ),
        held_out=HELD_OUT,
        recipe=1,
    message:
        "Ordering the pairs of all shards into nested sets"
    shell:
        "trackssl merge-pairs {params.pattern:q} --numbered {params.shards}"
        " --held-out-share {params.held_out} --out {output.sets:q} > {log:q} 2>&1"
