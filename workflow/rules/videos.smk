# Source of video -> a manifest a shard. The files themselves lie in a store that is no rule's output;
# jobs on one machine or one shared disk wait in one line for each host.


rule start_run:
    output:
        "results/run.json",
    log:
        "logs/start_run.log",
    conda:
        CONDA
    params:
        name=RUN.name,
    message:
        "Naming this run: {params.name}"
    shell:
        "trackssl start-run {params.name:q} --out {output:q} > {log:q} 2>&1"


rule fetch_videos:
    input:
        run=ancient("results/run.json"),
    output:
        manifest="resources/manifests/{shard}.parquet",
    log:
        "logs/fetch_videos/{shard}.log",
    benchmark:
        "benchmarks/fetch_videos/{shard}.tsv"
    localrule: RUN.videos.fetch_locally
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=720,
        downloads=1,
    params:
        settings=settings("videos"),
        recipe=1,
    message:
        "Fetching the videos of shard {wildcards.shard}"
    shell:
        "trackssl fetch-videos --settings {params.settings:q} --shard {wildcards.shard}"
        " --out {output.manifest:q} --store resources/videos"
        " --progress progress/fetch_videos/{wildcards.shard} > {log:q} 2>&1"
