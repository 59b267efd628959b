# Results of all methods -> the tables.


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
        table="results/voc_map{year}.csv",
        summary="results/voc_map{year}_summary.csv",
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
        differences="results/{table}_differences.csv",
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
