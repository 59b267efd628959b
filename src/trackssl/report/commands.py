"""Commands that name a run and write its tables."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    app.command("start-run", rich_help_panel="Report")(start_run)
    app.command("voc-map", rich_help_panel="Report")(voc_map)
    app.command("show-table", rich_help_panel="Report")(show_table)
    app.command("publish-table", rich_help_panel="Report")(publish_table)
    app.command("config-schema", rich_help_panel="Report")(config_schema)


def start_run(
    name: Annotated[str, typer.Argument(help="The run's name, as in its config.")],
    out: Annotated[Path, typer.Option(help="JSON file to write, such as results/run.json.")],
) -> None:
    """Mark a results folder as one run's: `trackssl start-run miniature --out run.json`."""
    from trackssl import __version__
    from trackssl.files import write_json

    write_json(out, {"name": name, "trackssl": __version__})


def voc_map(
    run: Annotated[Path, typer.Option(help="The run's mark, results/run.json.")],
    index: Annotated[Path, typer.Option(help="The VOC index, resources/voc/index.json.")],
    rows: Annotated[
        str, typer.Option(help="JSON list of {method, seed, ap, networks}: a row each.")
    ],
    out: Annotated[Path, typer.Option(help="The table to write, CSV.")],
    summary: Annotated[Path, typer.Option(help="Means and spreads over seeds to write, CSV.")],
    voc: Annotated[str | None, typer.Option(help="VOC settings: JSON or a YAML file.")] = None,
    network: Annotated[
        str | None, typer.Option(help="Network settings: JSON or a YAML file.")
    ] = None,
) -> None:
    """Write the table of detection results, one row a method and seed, ours beside the paper's."""
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
    typer.echo(
        table[["method", "pairs", "rounds", "members", "seed", "mAP"]].to_string(index=False)
    )


def show_table(
    table: Annotated[Path, typer.Argument(help="A results table, such as results/voc_map.csv.")],
    every_metric: Annotated[
        bool, typer.Option("--every-metric", help="All metrics, such as the AP of each class.")
    ] = False,
    svg: Annotated[Path | None, typer.Option(help="Also draw it, as SVG.")] = None,
) -> None:
    """Print a results table for reading: `trackssl show-table results/voc_map.csv`."""
    from rich.console import Console

    from trackssl.files import write_text
    from trackssl.report.terminal import render

    console = Console(record=svg is not None)
    console.print(render(table, every_metric))
    if svg:
        write_text(svg, console.export_svg(title=f"trackssl show-table {table}"))


def publish_table(
    table: Annotated[Path, typer.Argument(help="A results table, such as results/voc_map.csv.")],
    markdown: Annotated[Path, typer.Option(help="Markdown page to write.")],
    metrics: Annotated[Path, typer.Option(help="JSON of the headline metric to write, for DVC.")],
) -> None:
    """Write a results table for readers and for `dvc metrics`, ours beside the paper's."""
    from trackssl.report.publish import publish_table

    publish_table(table, markdown, metrics)


def config_schema() -> None:
    """Print the JSON schema of the config file, as YAML: `trackssl config-schema`."""
    from trackssl import config

    typer.echo(config.config_schema(), nl=False)
