# Results of all methods -> the tables.


rule voc_map:
    input:
        run="results/run.json",
        voc="resources/voc/index.json",
        ap=[row["ap"] for row in voc_rows()],
        networks=sorted({path for row in voc_rows() for path in row["networks"]}),
        code=modules("report/voc_map.py", "report/paper_values.csv", "tables.py"),
    output:
        table="results/voc_map.csv",
        summary="results/voc_map_summary.csv",
    log:
        "logs/voc_map.log",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        rows=json.dumps(voc_rows()),
        voc=settings("voc"),
        network=settings("network"),
    message:
        "Writing results/voc_map.csv"
    shell:
        "trackssl voc-map --run {input.run:q} --index {input.voc:q} --voc {params.voc:q}"
        " --network {params.network:q} --rows {params.rows:q}"
        " --out {output.table:q} --summary {output.summary:q} > {log:q} 2>&1"
