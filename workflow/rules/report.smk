# Results of all methods -> the tables; all that a run made -> its page.


rule voc_map:
    input:
        run="results/run.json",
        voc="resources/voc{year}/index.json",
        ap=lambda wildcards: [row["ap"] for row in voc_rows(wildcards.year)],
        networks=lambda wildcards: sorted(
            {path for row in voc_rows(wildcards.year) for path in row["networks"]}
        ),
        code=modules(
            "report/voc_map.py",
            "report/rows.py",
            "report/paper_values.csv",
            "tables.py",
        ),
    output:
        table=report(
            "results/voc_map{year}.csv",
            caption="../report/voc_map.rst",
            category="Tables",
            labels={"benchmark": "detection{year}", "values": "each seed"},
        ),
        summary=report(
            "results/voc_map{year}_summary.csv",
            caption="../report/summary.rst",
            category="Tables",
            labels={"benchmark": "detection{year}", "values": "mean and spread"},
        ),
    log:
        "logs/voc_map{year}.log",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        rows=lambda wildcards: json.dumps(voc_rows(wildcards.year)),
        voc=lambda wildcards: voc(wildcards).model_dump_json(),
        network=settings("network"),
    message:
        "Writing results/voc_map{wildcards.year}.csv"
    shell:
        "trackssl voc-map --run {input.run:q} --index {input.voc:q} --voc {params.voc:q}"
        " --network {params.network:q} --rows {params.rows:q}"
        " --out {output.table:q} --summary {output.summary:q} > {log:q} 2>&1"


rule compare_methods:
    input:
        table="results/{table}.csv",
        code=modules("tables.py"),
    output:
        differences=report(
            "results/{table}_differences.csv",
            caption="../report/differences.rst",
            category="Tables",
            labels={"benchmark": "{table}", "values": "differences"},
        ),
    log:
        "logs/compare_methods/{table}.log",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        comparisons=json.dumps(RUN.comparisons),
        recipe=1,
    message:
        "Comparing the methods of results/{wildcards.table}.csv, seed by seed"
    shell:
        "trackssl compare-methods {input.table:q} --comparisons {params.comparisons:q}"
        " --out {output.differences:q} > {log:q} 2>&1"


rule report:
    input:
        run="results/run.json",
        tables=TABLE_FILES,
        explored=EXPLORED,
        weights=unlabelled_weights(),
        code=folder_modules("report/page") + modules("report/paper_values.csv"),
    output:
        page=report(
            "results/report/index.html",
            caption="../report/page.rst",
            category="Report",
            labels={"result": "the whole run on one page"},
        ),
    log:
        "logs/report.log",
    benchmark:
        "benchmarks/report.tsv"
    conda:
        CONDA
    threads: RUN.torch_threads
    resources:
        mem_mb=growing(8000),
        runtime=60,
    params:
        config=RUN.model_dump_json(),
    message:
        "Writing the report, results/report/index.html"
    shell:
        "trackssl report --config {params.config:q} --out {output.page:q} > {log:q} 2>&1"
