"""Commands on files of weights, which no stage owns.

They are not in networks/, as importing any module of that folder loads torch, and `--help` should
not wait for it.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trackssl.speech import tell

_PANEL = "Weights"


class FormatName(StrEnum):
    """Other programs' formats."""

    torch = "torch"
    onnx = "onnx"
    caffe = "caffe"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("export", rich_help_panel=_PANEL)(export)
    app.command("import-weights", rich_help_panel=_PANEL)(import_weights)
    app.command("benchmark", rich_help_panel="A run")(benchmark)
    app.command("provenance", rich_help_panel="A run")(provenance)
    app.command("efficiency", rich_help_panel="A run")(efficiency)


def export(
    weights: Annotated[Path, typer.Argument(help="Weights that trackssl wrote, safetensors.")],
    form: Annotated[FormatName, typer.Option("--format", help="Whose format to write.")],
    out: Annotated[Path, typer.Option(help="The file to write; caffe adds a .prototxt beside it.")],
) -> None:
    """Write a network for use elsewhere: PyTorch's .pt, ONNX, or Caffe (full width only).

    Example: trackssl export weights.safetensors --format onnx --out network.onnx
    """
    from trackssl.networks.export import export_weights

    files = list(export_weights(weights, form.value, out))
    tell("\n".join(map(str, files)), files=files)


def import_weights(
    source: Annotated[
        str, typer.Argument(help="A .caffemodel, such as the authors' release: path or address.")
    ],
    out: Annotated[Path, typer.Option(help="The weights to write, safetensors.")],
    sha256: Annotated[
        str | None, typer.Option(help="The source's SHA-256 checksum; an address needs it.")
    ] = None,
    suffix: Annotated[
        str, typer.Option(help="What the file adds to the layers' names: _2 for conv1_2 ... fc7_2.")
    ] = "",
    convolutions_only: Annotated[
        bool,
        typer.Option(
            help="Take conv1 to conv5 alone, all that training starts from unless it carries all."
        ),
    ] = False,
    pairs: Annotated[
        int | None, typer.Option(min=1, help="Pairs it was trained on, for the tables, if known.")
    ] = None,
    progress: Annotated[
        Path | None,
        typer.Option(help="Folder in which a broken-off download goes on; default: beside --out."),
    ] = None,
) -> None:
    """Read a Caffe AlexNet of full width, from a file or a web address, for use as `init: weights`.

    Example: trackssl import-weights released.caffemodel --out released.safetensors
    """
    from urllib.parse import urlsplit

    from trackssl.datasets.place import local_file
    from trackssl.networks.export import import_caffe

    name = Path(urlsplit(source).path).name
    with local_file(source, sha256, progress or out.with_name(f".{out.name}.progress")) as path:
        import_caffe(path, out, suffix, convolutions_only, pairs, name)
    tell(str(out), out=out)


def benchmark(
    weights: Annotated[Path, typer.Option(help="A ranking or detector network, safetensors.")],
    config: Annotated[
        Path, typer.Option(help="The run whose data sets, settings and tables are taken.")
    ] = Path("config.yaml"),
    directory: Annotated[
        Path | None, typer.Option(help="Where the results go; default: runs/<name>.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the network's rows; default: the file's or its folder's.")
    ] = None,
    snakefile: Annotated[Path, typer.Option(help="The pipeline's.")] = Path("Snakefile"),
    cores: Annotated[str, typer.Option(help="As Snakemake's.")] = "all",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
) -> None:
    """Put one network through every benchmark, beside one that was not trained.

    Writes the config of a run, with its rows alone, and starts Snakemake on it; any network that
    `import-weights` or training made will do. What others' data it needs, the config says.

    Example: trackssl benchmark --weights released.safetensors --config config/paper.yaml
    """
    import os
    import re

    import yaml

    from trackssl.benchmark import benchmark_config
    from trackssl.config import read_yaml
    from trackssl.errors import InputError
    from trackssl.files import write_text

    if not snakefile.is_file():
        raise InputError(f"{snakefile}: is not there; run this in a clone of trackssl.")
    parts = weights.resolve().with_suffix("").parts  # .../unsup_8m/seed0/weights
    chosen = name or (parts[-3] if parts[-1] == "weights" and len(parts) > 2 else parts[-1])
    chosen = re.sub(r"\W", "_", chosen)
    values = benchmark_config(read_yaml(config), weights, chosen)
    folder = directory or Path("runs") / f"benchmark_{chosen}"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.yaml", yaml.safe_dump(values, sort_keys=False))
    command = [
        "snakemake", "--snakefile", str(snakefile), "--directory", str(folder),
        "--configfile", str(folder / "config.yaml"), "--cores", cores,
        *(["--dry-run"] if dry_run else []),
    ]  # fmt: skip
    typer.echo(" ".join(command), err=True)
    os.execvp(command[0], command)


def provenance(
    file: Annotated[Path, typer.Argument(help="A table, weights, or any other file of a run.")],
    records: Annotated[
        Path | None,
        typer.Option(
            help=(
                "The run's records, whose paths start where this is called; default: those of the "
                "release that the file lies in, or provenance."
            )
        ),
    ] = None,
) -> None:
    """Print how a file was made, from what, and so on back to the videos: commit, command, times.

    Example: trackssl provenance results/voc_map.csv
    """
    from trackssl.errors import InputError
    from trackssl.lineage import chain, find, render
    from trackssl.release.copies import records_of

    pulled = records_of(file)
    folder = records or pulled or Path("provenance")
    steps = list(chain(str(file), folder, whole_run=folder != pulled))
    if steps[0].record is None and (name := find(file, folder)):
        typer.echo(f"{file} is a copy of {name}", err=True)
        steps = list(chain(name, folder, whole_run=folder != pulled))
    if steps[0].record is None:
        raise InputError(
            f"{file}: {folder} has no record of it; call this in the run's folder, with a path as "
            "its rules write it."
        )
    told = [step for step in steps if step.record and not step.again]
    tell("\n".join(render(steps)), steps=told)


def efficiency(
    folder: Annotated[Path, typer.Argument(help="A run's folder of benchmark files.")] = Path(
        "benchmarks"
    ),
) -> None:
    """Say what a run's jobs took of the cores, memory and time they asked for, by rule.

    Works wherever the rules ran; names what is asked for far too much or is close to its limit.

    Example: trackssl efficiency runs/paper/benchmarks
    """
    from rich.console import Group
    from rich.text import Text

    from trackssl.efficiency import by_rule, read_jobs, render

    jobs, short = read_jobs(folder)
    uses = by_rule(jobs)
    lines = [
        Text(f"! {use.rule}: {remark}", style="yellow") for use in uses for remark in use.remarks
    ]
    if short:
        lines.append(
            Text(f"{short} files say nothing of what was asked for (made by other settings).")
        )
    tell(Group(render(uses), *lines), rules=uses, without_requests=short)
