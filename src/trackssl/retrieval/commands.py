"""The command of the retrieval benchmark."""

from pathlib import Path
from typing import Annotated

import typer

from trackssl.speech import tell

IndexFile = Annotated[Path, typer.Option(help="The VOC index of fetch-voc.")]
Proposals = Annotated[Path, typer.Option(help="Proposals of that split, Arrow.")]
Features = Annotated[Path, typer.Option(help="Features of that split's windows.")]


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    app.command("retrieve", rich_help_panel="Retrieval and classification")(retrieve)


def retrieve(
    voc: IndexFile,
    queries: Annotated[str, typer.Option(help="The split whose objects are looked for.")],
    query_proposals: Proposals,
    query_features: Features,
    gallery: Annotated[str, typer.Option(help="The split in whose windows they are.")],
    gallery_proposals: Proposals,
    gallery_features: Features,
    out: Annotated[Path, typer.Option(help="Precisions to write, CSV, a row a class.")],
    sheet: Annotated[
        Path | None, typer.Option(help="Also draw queries and their nearest windows, PNG.")
    ] = None,
    settings: Annotated[
        str | None, typer.Option(help="Section `retrieval`: inline JSON or a YAML file.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Numerical threads.")] = 2,
) -> None:
    """Find the nearest windows of VOC's objects by the cosine of their features, exactly.

    Queries are the objects of a split that are not difficult. The gallery is the proposals of
    another that have an IoU above 0.5 with an object, labelled by it. The table has the columns
    class, queries and p1, p5, p10, p20: of so many nearest, the share that shows the class.

    Example: trackssl retrieve --voc index.json
    --queries val --query-proposals val.arrow --query-features val.npy
    --gallery train --gallery-proposals train.arrow --gallery-features train.npy
    --out precision.csv --sheet matches.png
    """
    from threadpoolctl import threadpool_limits

    from trackssl.config import Retrieval, load_settings
    from trackssl.datasets.voc import read_index
    from trackssl.detection.proposals import ProposalFile
    from trackssl.retrieval.precision import overall
    from trackssl.retrieval.retrieve import Side, retrieve

    index = read_index(voc)
    asked = Side(queries, ProposalFile(query_proposals, index.images(queries)), query_features)
    known = Side(gallery, ProposalFile(gallery_proposals, index.images(gallery)), gallery_features)
    chosen = load_settings(Retrieval, settings, "retrieval")
    with threadpool_limits(threads):
        table = retrieve(index, asked, known, chosen, out, sheet)
    means = overall(table)
    tell(
        f"{out}: {table['queries'].sum()} queries; of the 20 nearest windows "
        f"{means['top20_by_query']:.1f} % are right, by class {means['top20_by_class']:.1f} %",
        out=out,
        sheet=sheet,
        queries=table["queries"].sum(),
        **means,
    )
