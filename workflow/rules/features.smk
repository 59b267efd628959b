# Whole images -> features, once for every benchmark that looks at images. Windows' features are in
# detection.smk.


rule extract_image_features:
    input:
        images=lambda wildcards: IMAGE_INDEX[wildcards.benchmark],
        weights=initial_weights,
    output:
        features=temp(
            "results/{benchmark}/features/{network}/seed{seed}/as_is_{layer}/{split}.npy"
        ),
    log:
        "logs/extract_image_features/{benchmark}_{network}_seed{seed}_{layer}_{split}.log",
    benchmark:
        "benchmarks/extract_image_features/{benchmark}_{network}_seed{seed}_{layer}_{split}.tsv"
    wildcard_constraints:
        benchmark=any_of(IMAGE_INDEX),
        split=r"\w+",
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(16000),
        runtime=480,
        gpu=RUN.gpus,
    params:
        network=whole_image_options,
        torch_threads=RUN.torch_threads,
        recipe=1,
    message:
        "Features of {wildcards.network}, seed {wildcards.seed}, on images of"
        " {wildcards.benchmark} {wildcards.split} ({wildcards.layer})"
    shell:
        "trackssl extract-features {params.network} --images {input.images:q}"
        " --split {wildcards.split} --layer {wildcards.layer}"
        " --threads {params.torch_threads} --out {output.features:q}"
        " --progress progress/extract_image_features/{wildcards.benchmark}_{wildcards.network}"
        "_seed{wildcards.seed}_{wildcards.layer}_{wildcards.split} > {log:q} 2>&1"
