# PASCAL VOC classification: images -> SVMs on fixed features, fine-tuned networks, their table.


rule list_voc_images:
    input:
        voc=f"resources/voc{CLASSIFIED}/index.json",
    output:
        index="resources/voc_images/index.json",
    log:
        "logs/list_voc_images.log",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        recipe=1,
    message:
        "Listing VOC's images with the classes that they show"
    shell:
        "trackssl voc-images --voc {input.voc:q} --out {output.index:q} > {log:q} 2>&1"


rule classify_features:
    input:
        images="resources/voc_images/index.json",
        train_features=classification_features(CLASSIFIED_VOC.train_split),
        test_features=classification_features(CLASSIFIED_VOC.test_split),
    output:
        ap="results/classification/fixed/{method}/seed{seed}/ap.csv",
    log:
        "logs/classify_features/{method}_seed{seed}.log",
    benchmark:
        "benchmarks/classify_features/{method}_seed{seed}.tsv"
    wildcard_constraints:
        method=any_of(CLASSIFIED_FIXED),
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(8000),
        runtime=480,
    params:
        train=CLASSIFIED_VOC.train_split,
        test=CLASSIFIED_VOC.test_split,
        ap_rule=CLASSIFIED_VOC.rule,
        settings=RUN.classification.model_dump_json(exclude={"networks", "finetuning"}),
        recipe=1,
    message:
        "SVMs on images' features of {wildcards.method}, seed {wildcards.seed}"
    shell:
        "trackssl classify-features --images {input.images:q} --train {params.train}"
        " --train-features {input.train_features:q} --test {params.test}"
        " --test-features {input.test_features:q} --rule {params.ap_rule}"
        " --settings {params.settings:q} --threads {threads} --out {output.ap:q} > {log:q} 2>&1"


rule finetune_classifier:
    input:
        images="resources/voc_images/index.json",
        weights=initial_weights,
    output:
        weights="results/classification/finetuned/{network}/seed{seed}/weights.safetensors",
        log="results/classification/finetuned/{network}/seed{seed}/log.jsonl",
        ap="results/classification/finetuned/{network}/seed{seed}/ap.csv",
    log:
        "logs/finetune_classifier/{network}_seed{seed}.log",
    benchmark:
        "benchmarks/finetune_classifier/{network}_seed{seed}.tsv"
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(16000),
        runtime=1440,
        gpu=RUN.gpus,
    params:
        init=initial_options,
        train=CLASSIFIED_VOC.train_split,
        test=CLASSIFIED_VOC.test_split,
        ap_rule=CLASSIFIED_VOC.rule,
        settings=RUN.classification.model_dump_json(include={"finetuning"}),
        network=IMAGE_NETWORK,
        torch_threads=RUN.torch_threads,
        recipe=1,
    message:
        "Fine-tuning {wildcards.network}, seed {wildcards.seed}, to classify images"
    shell:
        "trackssl finetune-classifier --images {input.images:q} --train {params.train}"
        " --test {params.test} --rule {params.ap_rule} {params.init}"
        " --network {params.network:q} --settings {params.settings:q} --seed {wildcards.seed}"
        " --threads {params.torch_threads} --out {output.weights:q} --log {output.log:q}"
        " --ap {output.ap:q} --progress progress/finetune_classifier/{wildcards.network}"
        "_seed{wildcards.seed} > {log:q} 2>&1"


rule voc07_classification:
    input:
        run="results/run.json",
        images="resources/voc_images/index.json",
        ap=[row["ap"] for row in classification_rows()],
        networks=sorted(
            {path for row in classification_rows() for path in row["networks"]}
        ),
        code=modules(
            "report/voc07_classification.py",
            "report/rows.py",
            "report/paper_values.csv",
            "tables.py",
        ),
    output:
        table=report(
            "results/voc07_classification.csv",
            caption="../report/voc07_classification.rst",
            category="Tables",
            labels={"benchmark": "image classification", "values": "each seed"},
        ),
        summary=report(
            "results/voc07_classification_summary.csv",
            caption="../report/summary.rst",
            category="Tables",
            labels={"benchmark": "image classification", "values": "mean and spread"},
        ),
    log:
        "logs/voc07_classification.log",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        rows=json.dumps(classification_rows()),
        voc=CLASSIFIED_VOC.model_dump_json(),
        network=IMAGE_NETWORK,
        settings=settings("classification"),
    message:
        "Writing results/voc07_classification.csv"
    shell:
        "trackssl voc07-classification --run {input.run:q} --index {input.images:q}"
        " --voc {params.voc:q} --network {params.network:q} --settings {params.settings:q}"
        " --rows {params.rows:q} --out {output.table:q} --summary {output.summary:q}"
        " > {log:q} 2>&1"
