"""Commands that show what a network learned, without labels or with few."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trackssl.options import Threads
from trackssl.pretraining.commands import ComputedOn, DeviceName, EmbeddedLayer
from trackssl.speech import tell

if TYPE_CHECKING:
    from trackssl.errors import InputError

_PANEL = "Look"

Weights = Annotated[Path, typer.Option(help="A ranking network or a detector, safetensors.")]
Layer = Annotated[EmbeddedLayer, typer.Option(help="The feature: fc7, or pool5 flattened.")]


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    app.command("explore", rich_help_panel=_PANEL)(explore)
    app.command("search", rich_help_panel=_PANEL)(search)
    app.command("probe", rich_help_panel=_PANEL)(probe)


def explore(
    weights: Annotated[Path, typer.Option(help="The ranking network, safetensors.")],
    pairs: Annotated[Path, typer.Option(help="The list of pairs that it was trained on.")],
    out: Annotated[
        Path, typer.Option(help="Folder for neighbours and map, .png and .csv, and partners.csv.")
    ],
    held_out: Annotated[
        Path | None, typer.Option(help="The list of pairs of videos that it did not see.")
    ] = None,
    settings: Annotated[
        str | None, typer.Option(help="Section `explore`: inline JSON or a YAML file.")
    ] = None,
    device: ComputedOn = DeviceName.auto,
    threads: Threads = 2,
) -> None:
    """Show a network's nearest neighbours and a map of its pairs, beside it before its training.

    partners.csv says how often a patch's tracked partner is among the 1, 5 and 20 nearest of it and
    the patches of all other videos.

    Example: trackssl explore --weights weights.safetensors --pairs results/pairs/sets.parquet
    --out results/explore
    """
    import torch

    from trackssl.config import Explore, load_settings
    from trackssl.explore.look import look

    torch.set_num_threads(threads)
    chosen = load_settings(Explore, settings, "explore")
    table = look(pairs, held_out, weights, chosen, out, device.value)
    lines = [
        f"{row['network']}, videos {row['videos']}: of {row['pairs']} patches "
        f"{row['found_1']:.0f} % have their partner nearest (by chance {row['chance_1']:.0f} %)"
        for row in table[table["layer"] == chosen.layer].to_dict("records")
    ]
    tell("\n".join([*lines, str(out)]), out=out, partners=table)


def search(
    query: Annotated[Path, typer.Option(help="The image whose look-alikes are wanted.")],
    weights: Weights,
    images: Annotated[Path, typer.Option(help="The folder to search, with its folders.")],
    top: Annotated[int, typer.Option(min=1, help="How many to name.")] = 12,
    out: Annotated[Path | None, typer.Option(help="Also draw them: a PNG.")] = None,
    layer: Layer = EmbeddedLayer.pool5,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps features between searches; default: the user's."),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no features.")] = False,
    device: ComputedOn = DeviceName.auto,
    threads: Threads = 2,
) -> None:
    """Find the images of a folder that look like a given one to a network.

    Prints the cosine of the features and the path of each, the nearest first; what all images of
    the folder have in common does not count. Images that cannot be decoded are named and left out.

    Example: trackssl search --query mug.jpg --weights weights.safetensors --images photos --top 6
    --out alike.png
    """
    import cv2
    import torch

    from trackssl.explore.search import default_cache
    from trackssl.explore.search import search as find
    from trackssl.explore.search_sheet import search_sheet
    from trackssl.files import whole_file
    from trackssl.images import read_image
    from trackssl.pretraining.embed import Encoder

    torch.set_num_threads(threads)
    encoder = Encoder(weights, layer.value, device.value)
    left_out = _LeftOut()
    folder = None if no_cache else cache or default_cache()
    matches = find(query, images, encoder, top, folder, left_out)
    if out is not None:
        sheet = search_sheet(read_image(query), query.name, matches)
        with whole_file(out) as part:
            part.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
    said = f"{matches.searched} images searched, {matches.computed} computed anew"
    tell(
        "\n".join([*(f"{m.cosine:.3f}  {m.path}" for m in matches.found), said]),
        query=query,
        weights=weights,
        layer=layer,
        searched=matches.searched,
        computed=matches.computed,
        left_out=left_out.said,
        found=[{"path": m.path, "cosine": round(m.cosine, 6)} for m in matches.found],
    )


def probe(
    images: Annotated[
        Path, typer.Option(help="A folder with a subfolder of images for each class.")
    ],
    weights: Weights,
    layer: Layer = EmbeddedLayer.pool5,
    folds: Annotated[int, typer.Option(min=2, help="Of the cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Also write the table: a CSV.")] = None,
    device: ComputedOn = DeviceName.auto,
    threads: Threads = 2,
) -> None:
    """Say what a network's features are worth on your labelled images, with a linear classifier.

    Beside it stand the same network before its training and a histogram of colours. The accuracy is
    the mean over classes; its spread is over the folds.

    Example: trackssl probe --images photos_by_class --weights weights.safetensors
    """
    import torch
    from threadpoolctl import threadpool_limits

    from trackssl.config import SceneClassifier
    from trackssl.explore.probe import probe as measure
    from trackssl.tables import TABLE_DIGITS, write_csv

    torch.set_num_threads(threads)
    left_out = _LeftOut()
    with threadpool_limits(threads):
        found = measure(
            images, weights, layer.value, folds, seed, SceneClassifier(), device.value, left_out
        )
    mean, deviation = found.gain()
    if out is not None:
        write_csv(out, found.rows(), TABLE_DIGITS)
    lines = [f"{found.images} images of {len(found.classes)} classes, {folds} folds, {layer.value}"]
    for row in found.rows():
        spread = f" +- {row['accuracy_std']:.1f}" if "folds" in row else ""
        lines.append(f"  {row['features']:<17} {row['accuracy_mean']:5.1f} %{spread}")
    lines.append(f"training gave {mean:+.1f} +- {deviation:.1f} percentage points, fold by fold")
    tell(
        "\n".join(lines),
        images=found.images,
        classes=found.classes,
        layer=layer,
        rows=found.rows(),
        gain_mean=mean,
        gain_std=deviation,
        left_out=left_out.said,
    )


class _LeftOut:
    """Names each image that cannot be used, once, and remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, error: "InputError") -> None:
        if str(error) not in self.said:
            self.said.append(str(error))
            typer.secho(f"left out: {error}", err=True, fg="yellow")
