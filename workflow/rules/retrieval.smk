# Features of windows as they are -> nearest neighbours of VOC's objects, and their table.


rule retrieve:
    input:
        voc="resources/voc/index.json",
        query_proposals=f"results/detection/proposals/{RUN.voc.test_split}.arrow",
        gallery_proposals=f"results/detection/proposals/{RUN.voc.train_split}.arrow",
        query_features=retrieval_features(RUN.voc.test_split),
        gallery_features=retrieval_features(RUN.voc.train_split),
    output:
        precision="results/voc_retrieval/{method}_seed{seed}.csv",
        sheet=report(
            "results/voc_retrieval/{method}_seed{seed}.png",
            caption="../report/neighbours.rst",
            category="Pictures",
            labels={
                "picture": "nearest windows",
                "method": "{method}",
                "seed": "{seed}",
            },
        ),
    log:
        "logs/retrieve/{method}_seed{seed}.log",
    benchmark:
        "benchmarks/retrieve/{method}_seed{seed}.tsv"
    wildcard_constraints:
        method=any_of(RETRIEVED),
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(8000),
        runtime=240,
    params:
        queries=RUN.voc.test_split,
        gallery=RUN.voc.train_split,
        settings=RUN.retrieval.model_dump_json(exclude={"networks"}),
        recipe=1,
    message:
        "Nearest windows by {wildcards.method}, seed {wildcards.seed}"
    shell:
        "trackssl retrieve --voc {input.voc:q} --queries {params.queries}"
        " --query-proposals {input.query_proposals:q} --query-features {input.query_features:q}"
        " --gallery {params.gallery} --gallery-proposals {input.gallery_proposals:q}"
        " --gallery-features {input.gallery_features:q} --settings {params.settings:q}"
        " --threads {threads} --out {output.precision:q} --sheet {output.sheet:q} > {log:q} 2>&1"


rule voc_retrieval:
    input:
        run="results/run.json",
        precision=[row["precision"] for row in retrieval_rows()],
        networks=sorted({path for row in retrieval_rows() for path in row["networks"]}),
        code=modules(
            "report/voc_retrieval.py",
            "report/rows.py",
            "report/paper_values.csv",
            "retrieval/precision.py",
            "tables.py",
        ),
    output:
        table=report(
            "results/voc_retrieval.csv",
            caption="../report/voc_retrieval.rst",
            category="Tables",
            labels={"benchmark": "nearest windows", "values": "each seed"},
        ),
        summary=report(
            "results/voc_retrieval_summary.csv",
            caption="../report/summary.rst",
            category="Tables",
            labels={"benchmark": "nearest windows", "values": "mean and spread"},
        ),
    log:
        "logs/voc_retrieval.log",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        rows=json.dumps(retrieval_rows()),
        voc=settings("voc"),
        network=settings("network"),
        settings=settings("retrieval"),
    message:
        "Writing results/voc_retrieval.csv"
    shell:
        "trackssl voc-retrieval --run {input.run:q} --voc {params.voc:q}"
        " --network {params.network:q} --settings {params.settings:q} --rows {params.rows:q}"
        " --out {output.table:q} --summary {output.summary:q} > {log:q} 2>&1"
