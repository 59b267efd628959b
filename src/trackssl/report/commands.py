"""Commands that name a run and write its tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trackssl.errors import InputError
from trackssl.options import NetworkSettings
from trackssl.speech import tell

if TYPE_CHECKING:
    import pandas as pd

_PANEL = "Tables"

RunMark = Annotated[Path, typer.Option(help="The run's mark, results/run.json.")]
Rows = Annotated[
    str,
    typer.Option(help="JSON list: of each row its method, seed, networks and files of results."),
]
TableFile = Annotated[Path, typer.Option(help="The table to write, CSV.")]
SummaryFile = Annotated[Path, typer.Option(help="Means and spreads over seeds to write, CSV.")]
VocSettings = Annotated[str | None, typer.Option(help="VOC settings: JSON or a YAML file.")]


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    app.command("start-run", rich_help_panel="A run")(start_run)
    app.command("voc-map", rich_help_panel=_PANEL)(voc_map)
    app.command("voc-retrieval", rich_help_panel=_PANEL)(voc_retrieval)
    app.command("voc07-classification", rich_help_panel=_PANEL)(voc07_classification)
    app.command("nyu-normals", rich_help_panel=_PANEL)(nyu_normals)
    app.command("mit67-accuracy", rich_help_panel=_PANEL)(mit67_accuracy)
    app.command("compare-methods", rich_help_panel=_PANEL)(compare_methods)
    app.command("show-table", rich_help_panel=_PANEL)(show_table)
    app.command("publish-table", rich_help_panel=_PANEL)(publish_table)
    app.command("report", rich_help_panel=_PANEL)(report)
    app.command("config-schema", rich_help_panel="A run")(config_schema)


def start_run(
    name: Annotated[str, typer.Argument(help="The run's name, as in its config.")],
    out: Annotated[Path, typer.Option(help="JSON file to write, such as results/run.json.")],
) -> None:
    """Mark a results folder as one run's.

    Example: trackssl start-run miniature --out results/run.json
    """
    from trackssl import __version__
    from trackssl.files import write_json

    write_json(out, {"name": name, "trackssl": __version__})
    tell(f"{out}: the run {name}", out=out, name=name)


def voc_map(
    run: RunMark,
    index: Annotated[Path, typer.Option(help="The VOC index, resources/voc/index.json.")],
    rows: Rows,
    out: TableFile,
    summary: SummaryFile,
    voc: VocSettings = None,
    network: NetworkSettings = None,
) -> None:
    """Write the table of detection results, one row a method and seed, ours beside the paper's.

    Example: trackssl voc-map --run results/run.json --index resources/voc/index.json
    --rows '[{"method": "mine", "seed": 0, "ap": "ap.csv", "networks": ["detector.safetensors"],
    "members": 1, "features": ""}]' --out map.csv --summary map_summary.csv
    """
    import json

    from trackssl.config import Network, Voc, load_settings, parse
    from trackssl.report.voc_map import Row, write_voc_map

    table = write_voc_map(
        [parse(Row, row, "--rows") for row in json.loads(rows)],
        run,
        index,
        load_settings(Voc, voc, "voc"),
        load_settings(Network, network, "network"),
        out,
        summary,
    )
    _tell_rows(out, table[["method", "pairs", "rounds", "members", "seed", "mAP"]])


def voc_retrieval(
    run: RunMark,
    rows: Rows,
    out: TableFile,
    summary: SummaryFile,
    voc: VocSettings = None,
    network: NetworkSettings = None,
    settings: Annotated[
        str | None, typer.Option(help="Retrieval settings: JSON or a YAML file.")
    ] = None,
) -> None:
    """Write the table of nearest windows, one row a network and seed, ours beside the paper's.

    Example: trackssl voc-retrieval --run results/run.json --rows '[{"method": "mine", "seed": 0,
    "networks": ["ranking.safetensors"], "members": 1, "precision": "precision.csv"}]'
    --out retrieval.csv --summary retrieval_summary.csv
    """
    import json

    from trackssl.config import Network, Retrieval, Voc, load_settings, parse
    from trackssl.report.voc_retrieval import METRICS, Row, write_voc_retrieval

    table = write_voc_retrieval(
        [parse(Row, row, "--rows") for row in json.loads(rows)],
        run,
        load_settings(Voc, voc, "voc"),
        load_settings(Network, network, "network"),
        load_settings(Retrieval, settings, "retrieval"),
        out,
        summary,
    )
    _tell_rows(out, table[["method", "pairs", "seed", *METRICS]])


def voc07_classification(
    run: RunMark,
    index: Annotated[Path, typer.Option(help="The image index, resources/voc_images/index.json.")],
    rows: Rows,
    out: TableFile,
    summary: SummaryFile,
    voc: VocSettings = None,
    network: NetworkSettings = None,
    settings: Annotated[
        str | None, typer.Option(help="Classification settings: JSON or a YAML file.")
    ] = None,
) -> None:
    """Write the table of image classification, one row a network and seed.

    Example: trackssl voc07-classification --run results/run.json
    --index resources/voc_images/index.json --rows '[{"method": "mine", "seed": 0,
    "networks": ["ranking.safetensors"], "members": 1, "ap": "ap.csv", "finetuned": false}]'
    --out classification.csv --summary classification_summary.csv
    """
    import json

    from trackssl.config import Classification, Network, Voc, load_settings, parse
    from trackssl.report.voc07_classification import Row, write_voc07_classification

    table = write_voc07_classification(
        [parse(Row, row, "--rows") for row in json.loads(rows)],
        run,
        index,
        load_settings(Voc, voc, "voc"),
        load_settings(Network, network, "network"),
        load_settings(Classification, settings, "classification"),
        out,
        summary,
    )
    _tell_rows(out, table[["method", "pairs", "seed", "mAP"]])


def nyu_normals(
    run: RunMark,
    index: Annotated[Path, typer.Option(help="The index, resources/nyuv2/index.json.")],
    rows: Rows,
    out: TableFile,
    summary: SummaryFile,
    data: Annotated[str | None, typer.Option(help="Section `nyuv2`: JSON or a YAML file.")] = None,
    settings: Annotated[
        str | None, typer.Option(help="Section `normals`: JSON or a YAML file.")
    ] = None,
    network: NetworkSettings = None,
) -> None:
    """Write the table of surface normals, one row a network and seed, ours beside the paper's.

    Example: trackssl nyu-normals --run results/run.json --index resources/nyuv2/index.json
    --rows '[{"method": "mine", "seed": 0, "networks": ["normals.safetensors"],
    "scores": "scores.json"}]' --out normals.csv --summary normals_summary.csv
    """
    import json

    from trackssl.config import Network, Normals, Nyuv2, load_settings, parse
    from trackssl.report.nyu_normals import METRICS, Row, write_nyu_normals

    table = write_nyu_normals(
        [parse(Row, row, "--rows") for row in json.loads(rows)],
        run,
        index,
        load_settings(Nyuv2, data, "nyuv2"),
        load_settings(Normals, settings, "normals"),
        load_settings(Network, network, "network"),
        out,
        summary,
    )
    _tell_rows(out, table[["method", "pairs", "seed", *METRICS]])


def mit67_accuracy(
    run: RunMark,
    images: Annotated[Path, typer.Option(help="The index, resources/mit67/index.json.")],
    rows: Rows,
    out: TableFile,
    summary: SummaryFile,
    settings: Annotated[
        str | None, typer.Option(help="Scenes settings: JSON or a YAML file.")
    ] = None,
    network: NetworkSettings = None,
) -> None:
    """Write the table of scene classification, one row a method and seed, ours and the paper's.

    Example: trackssl mit67-accuracy --run results/run.json --images resources/mit67/index.json
    --rows '[{"method": "mine", "seed": 0, "networks": ["scenes.safetensors"], "members": 1,
    "metrics": "metrics.json"}]' --out accuracy.csv --summary accuracy_summary.csv
    """
    import json

    from trackssl.config import Network, Scenes, load_settings, parse
    from trackssl.datasets.image_index import read_image_index
    from trackssl.report.mit67_accuracy import METRICS, Row, write_mit67_accuracy

    table = write_mit67_accuracy(
        [parse(Row, row, "--rows") for row in json.loads(rows)],
        run,
        read_image_index(images),
        load_settings(Scenes, settings, "scenes"),
        load_settings(Network, network, "network"),
        out,
        summary,
    )
    _tell_rows(out, table[["method", "pairs", "seed", *METRICS]])


def compare_methods(
    table: Annotated[Path, typer.Argument(help="A results table, such as results/voc_map.csv.")],
    comparisons: Annotated[str, typer.Option(help="JSON list of [method, other].")],
    out: Annotated[Path, typer.Option(help="Paired differences to write, CSV.")],
    metrics: Annotated[
        str | None, typer.Option(help="Which ones, joined by commas; default: the headline.")
    ] = None,
) -> None:
    """Write by how much methods differ with the same seeds: means, spreads and counts.

    Example: trackssl compare-methods results/voc_map.csv --comparisons '[["unsup_8m", "scratch"]]'
    --out differences.csv
    """
    import json

    from trackssl.tables import TABLE_DIGITS, metric_names, paired_differences, read_csv, write_csv

    results = read_csv(table)
    known = metric_names(results)
    chosen = metrics.split(",") if metrics else known[:1]
    if unknown := [name for name in chosen if name not in known]:
        raise InputError(f"{table}: has no column '{unknown[0]}'; it has {', '.join(known)}.")
    try:
        pairs = [(str(method), str(other)) for method, other in json.loads(comparisons)]
    except (ValueError, TypeError):
        raise InputError(
            f"--comparisons: {comparisons!r} is no JSON list of [method, other]; give one."
        ) from None
    found = paired_differences(results, pairs, chosen)
    write_csv(out, found, TABLE_DIGITS)
    _tell_rows(out, found)


def show_table(
    table: Annotated[Path, typer.Argument(help="A results table, such as results/voc_map.csv.")],
    every_metric: Annotated[
        bool, typer.Option("--every-metric", help="All metrics, such as the AP of each class.")
    ] = False,
    svg: Annotated[Path | None, typer.Option(help="Also draw it, as SVG.")] = None,
) -> None:
    """Print a results table for reading.

    Of a run of several seeds, the paired differences that lie beside it too.

    Example: trackssl show-table results/voc_map.csv
    """
    import io

    from rich.console import Console, Group

    from trackssl.files import write_text
    from trackssl.report.terminal import render, render_differences
    from trackssl.tables import read_csv

    differences = render_differences(table)
    shown = Group(render(table, every_metric), *([differences] if differences else []))
    tell(shown, rows=read_csv(table))
    if svg:
        console = Console(record=True, file=io.StringIO())
        console.print(shown)
        write_text(svg, console.export_svg(title=f"trackssl show-table {table}"))


def publish_table(
    table: Annotated[Path, typer.Argument(help="A results table, such as results/voc_map.csv.")],
    markdown: Annotated[Path, typer.Option(help="Markdown page to write.")],
    metrics: Annotated[Path, typer.Option(help="JSON of the headline metric to write, for DVC.")],
) -> None:
    """Write a results table for readers and for `dvc metrics`, ours beside the paper's.

    Example: trackssl publish-table results/voc_map.csv --markdown voc_map.md
    --metrics voc_map.json
    """
    from trackssl.report.publish import publish_table

    publish_table(table, markdown, metrics)
    tell(f"{markdown}\n{metrics}", markdown=markdown, metrics=metrics)


def report(
    folder: Annotated[Path, typer.Argument(help="The run's folder, with its results/.")] = Path(),
    config: Annotated[
        str | None, typer.Option(help="The run's config: a YAML file, or JSON.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Page to write; default: results/report/index.html.")
    ] = None,
) -> None:
    """Write a finished run as one page that opens from disk, with all its pictures in it.

    Example: trackssl report --config config.yaml

    trackssl report runs/study --config config/study.yaml --out study.html
    """
    import json

    from trackssl.config import Config, load_config, parse
    from trackssl.report.page.write import write_page

    given = None
    if config is not None and config.lstrip().startswith("{"):
        given = parse(Config, json.loads(config), "--config")
    elif config is not None:
        given = load_config(Path(config))
    page = out or folder / "results/report/index.html"
    size = write_page(folder, given, page)
    tell(f"{page}: {size / 1e6:.1f} MB; open it in a browser.", page=page, bytes=size)


def config_schema() -> None:
    """Print the JSON schema of the config file, as YAML.

    Example: trackssl config-schema
    """
    import yaml

    from trackssl import config

    schema = config.config_schema()
    tell(schema.rstrip("\n"), schema=yaml.safe_load(schema))


def _tell_rows(out: Path, rows: "pd.DataFrame") -> None:
    tell(rows.to_string(index=False), out=out, rows=rows)
