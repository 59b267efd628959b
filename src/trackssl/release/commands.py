"""The command that copies what a run publishes."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trackssl.speech import tell


class Part(StrEnum):
    """Parts of a release, each a folder of its own."""

    tables = "tables"
    models = "models"
    pairs = "pairs"
    plots = "plots"


def register(app: typer.Typer) -> None:
    """Add this stage's command."""
    app.command("release", rich_help_panel="A run")(release)


def release(
    part: Annotated[Part, typer.Argument(help="What to release.")],
    out: Annotated[Path | None, typer.Option(help="Its folder; default: release/PART.")] = None,
    config: Annotated[Path, typer.Option(help="The run's config.")] = Path("config.yaml"),
    run: Annotated[Path, typer.Option(help="The run's folder, in which results/ is.")] = Path(),
) -> None:
    """Copy a run's tables, models or pairs with their provenance, for `dvc push`, or write plots.

    Section `release` of the config says which models, and whether pairs. What is released is a copy
    of the files that the records tell of, and `trackssl provenance release/...` prints the chain
    wherever it is pulled. A model card and a data card say what it is, how it was made and what it
    is worth.

    Example: trackssl release tables --out release/tables
    """
    from trackssl.config import load_config
    from trackssl.release import choose
    from trackssl.release.cards import data_card, model_card
    from trackssl.release.copies import release as copy
    from trackssl.release.plots import write_plots

    chosen, folder = load_config(config), out or Path("release") / part.value
    if part is Part.plots:
        write_plots(chosen, run, folder)
        tell(str(folder), out=folder)
        return
    pick = {Part.tables: choose.tables, Part.models: choose.models, Part.pairs: choose.pairs}
    items = pick[part](chosen, run)
    if part is Part.pairs and not items:
        typer.echo("release.pairs is false in the config: no pairs are released", err=True)
    command = ["release", part.value, "--out", str(folder), "--run", str(run)]
    cards = {}
    if items and part is Part.models:
        cards["MODEL_CARD.md"] = model_card(chosen, run, items)
    if items and part is not Part.tables:
        cards["DATA_CARD.md"] = data_card(chosen, run)
    total = copy(items, run, folder, part.value, command, cards)
    tell(f"{folder}: {len(items)} files, {total:,} bytes", out=folder, files=items, bytes=total)
