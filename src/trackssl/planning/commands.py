"""The command that says what a run will cost."""

from pathlib import Path
from typing import Annotated

import typer

from trackssl.speech import tell


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("plan", rich_help_panel="A run")(plan)


def plan(
    configfile: Annotated[Path, typer.Option(help="The run's config.")] = Path("config.yaml"),
    out: Annotated[
        Path | None, typer.Option(help="A CSV to write too: a row a rule, the last one their sum.")
    ] = None,
    directory: Annotated[
        Path, typer.Option(help="The run's folder: its disk, and where the config's paths start.")
    ] = Path(),
    table: Annotated[
        list[str] | None, typer.Option(help="Only this table of the config's; may be repeated.")
    ] = None,
    manifest: Annotated[
        list[Path] | None,
        typer.Option(
            help="Manifest of videos that are there already, or a folder of such; may be repeated."
        ),
    ] = None,
    minutes_per_video: Annotated[
        float | None, typer.Option(min=0.01, help="Mean length; default: 4, assumed.")
    ] = None,
    mb_per_video: Annotated[
        float | None, typer.Option(min=0, help="Mean size, 10^6 bytes; default: 6 a minute.")
    ] = None,
    success_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of the list; default: .6, of a folder 1.")
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures", help="Also list the figures used, with their sources.")
    ] = False,
) -> None:
    """Say what a run will cost before anything runs: jobs, disk, core-hours and GPU-hours by stage.

    Computed from the config and from measured figures; what was never measured is an assumption,
    and marked. No data need be there.

    Example: trackssl plan --configfile config/paper.yaml --out plan.csv
    """
    from rich.console import ConsoleRenderable, Group
    from rich.text import Text

    from trackssl.config import Config, load_config, parse
    from trackssl.planning.limits import Machine, limits
    from trackssl.planning.material import Guess
    from trackssl.planning.plan import make_plan
    from trackssl.planning.show import render, render_figures, render_footage, write_plan

    run = load_config(configfile)
    if table:
        run = parse(Config, run.model_dump() | {"tables": table}, "--table")
    guess = Guess(minutes_per_video, mb_per_video, success_share)
    made = make_plan(run, guess, manifest or (), directory)
    warnings = list(limits(made, Machine.here(directory)))
    shown: list[ConsoleRenderable] = [Text(render_footage(made)), render(made)]
    shown += [Text(f"! {sentence}", style="yellow") for sentence in warnings]
    if figures:
        shown.append(render_figures(made))
    if out:
        write_plan(made, out)
        shown.append(Text(str(out)))
    tell(
        Group(*shown),
        run=made.run.name,
        jobs=made.jobs,
        core_hours=made.core_hours,
        rules=made.rows,
        peak_bytes=[made.peak_one_by_one, made.peak_at_most],
        warnings=warnings,
        out=out,
    )
