"""The whole page: its sections in order, put together by one template."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trackssl import __version__
from trackssl.config import Config
from trackssl.files import write_text
from trackssl.report.page.blocks import Section, Text
from trackssl.report.page.data import mining_section, videos_section
from trackssl.report.page.detecting import detection_section
from trackssl.report.page.grids import plain_table
from trackssl.report.page.learning import learning_section
from trackssl.report.page.opening import config_text, headline_section, run_section
from trackssl.report.page.others import (
    classification_section,
    explore_section,
    normals_section,
    retrieval_section,
    scenes_section,
)
from trackssl.report.page.run import TABLES, Run
from trackssl.report.page.words import certainty, metric_words

SECTIONS: tuple[Callable[[Run], Section | None], ...] = (
    headline_section,
    run_section,
    videos_section,
    mining_section,
    learning_section,
    explore_section,
    detection_section,
    retrieval_section,
    classification_section,
    scenes_section,
    normals_section,
)


def write_page(folder: Path, config: Config | None, out: Path) -> int:
    """Write a run's page as one file -> its size in bytes.

    Raises InputError for a folder that is no run's, or a file of it that is damaged.
    """
    run = Run(folder, config, out)
    made = [make(run) for make in SECTIONS] + [_paper_section(run)]
    shown = [section for section in made if section and not section.absent]
    absent = [section for section in made if section and section.absent]
    if absent:
        sentences = [Text(section.absent) for section in absent]
        shown.append(Section("absent", "Not run", "What was not run", sentences))
    text = _render(run, shown)
    write_text(out, text)
    return len(text.encode())


def _render(run: Run, sections: list[Section]) -> str:
    loader = PackageLoader("trackssl.report.page")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = files("trackssl.report.page") / "templates"
    return environment.get_template("index.html").render(
        run=run,
        sections=sections,
        config=config_text(run),
        style=Markup((parts / "style.css").read_text(encoding="utf-8")),
        script=Markup((parts / "script.js").read_text(encoding="utf-8")),
        markup=Markup,
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _paper_section(run: Run) -> Section | None:
    """Every number of the paper that the page shows, and where it is from."""
    values = pd.read_csv(str(files("trackssl.report") / "paper_values.csv"))
    values = values[values["table"].isin(run.tables)]
    if values.empty:
        return None
    rows: list[list[object]] = []
    for row in values.to_dict("records"):
        metric, source = metric_words(str(row["metric"])), str(row["source"])
        value = float(row["value"])
        rows.append(
            [TABLES[row["table"]], str(row["method"]), metric, value, certainty(source), source]
        )
    heads = ["benchmark", "row", "metric", "value", "certainty", "source"]
    caption = (
        "stated: in a source that was read. unconfirmed: recalled by readers of the paper, and "
        "neither confirmed nor refuted here."
    )
    table = plain_table("All numbers of the paper on this page", heads, rows, caption)
    return Section("paper", "The paper", "The paper's numbers", [table])
