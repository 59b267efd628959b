# Weights and pairs -> what was learned, looked at without labels. A part of the videos may be held out.


rule hold_out_pairs:
    input:
        pairs=expand("results/pairs/{shard}.arrow", shard=SHARDS),
    output:
        pairs="results/pairs/held_out.parquet",
    log:
        "logs/hold_out_pairs.log",
    benchmark:
        "benchmarks/hold_out_pairs.tsv"
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
        "Listing the pairs that no training sees"
    shell:
        "trackssl merge-pairs {params.pattern:q} --numbered {params.shards}"
        " --held-out-share {params.held_out} --held-out --out {output.pairs:q} > {log:q} 2>&1"


rule explore:
    input:
        sets="results/pairs/sets.parquet",
        held_out="results/pairs/held_out.parquet" if HELD_OUT else [],
        pairs=expand("results/pairs/{shard}.arrow", shard=SHARDS),
        weights=explored_weights(),
        code=modules(
            "explore/look.py",
            "explore/map.py",
            "explore/neighbours.py",
            "explore/partners.py",
            "explore/patches.py",
        ),
    output:
        EXPLORE_FILES,
    log:
        "logs/explore.log",
    benchmark:
        "benchmarks/explore.tsv"
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(8000),
        runtime=120,
        gpu=RUN.gpus,
    params:
        held_out="--held-out results/pairs/held_out.parquet" if HELD_OUT else "",
        settings=settings("explore"),
        torch_threads=RUN.torch_threads,
    message:
        "Looking at what {RUN.explore.network} learned: neighbours, map and partners"
    shell:
        "trackssl explore --weights {input.weights:q} --pairs {input.sets:q} {params.held_out}"
        " --settings {params.settings:q} --threads {params.torch_threads}"
        " --out results/explore > {log:q} 2>&1"
