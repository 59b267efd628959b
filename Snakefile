# Videos in, tables out. This file loads and checks the config, includes one rules file a stage and
# names the targets; every rule calls one `trackssl` command. The map: docs/design.md.
from snakemake.utils import min_version, validate

min_version("9.0")

# One config file is one run: config.yaml is read only where --configfile named no other.
if "videos" not in config:

    configfile: "config.yaml"


include: "workflow/rules/common.smk"


validate(config, "workflow/schemas/config.schema.yaml", set_default=False)


include: "workflow/rules/videos.smk"
include: "workflow/rules/mining.smk"
include: "workflow/rules/pretraining.smk"
include: "workflow/rules/explore.smk"
include: "workflow/rules/detection.smk"
include: "workflow/rules/benchmarks.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/retrieval.smk"
include: "workflow/rules/classification.smk"
include: "workflow/rules/scenes.smk"
include: "workflow/rules/normals.smk"
include: "workflow/rules/report.smk"


# These take seconds, and need no place in a cluster's queue.
localrules:
    all,
    start_run,
    voc_map,
    voc_retrieval,
    voc07_classification,
    mit67_accuracy,
    nyu_normals,
    compare_methods,


rule all:
    default_target: True
    input:
        TABLE_FILES,
        "results/report/index.html",
