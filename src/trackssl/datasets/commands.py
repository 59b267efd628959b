"""Commands that put the benchmarks' data in place."""

from pathlib import Path
from typing import Annotated

import typer

from trackssl.speech import tell

_PANEL = "Data sets"


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    app.command("datasets", rich_help_panel=_PANEL)(datasets)
    app.command("fetch-file", rich_help_panel=_PANEL)(fetch_file)
    app.command("fetch-voc", rich_help_panel=_PANEL)(fetch_voc)
    app.command("voc-images", rich_help_panel=_PANEL)(voc_images)
    app.command("fetch-mit67", rich_help_panel=_PANEL)(fetch_mit67)


def datasets(
    config: Annotated[
        Path | None, typer.Option(help="The run whose places are looked at; default: the paper's.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare checksums too, which reads every file.")
    ] = False,
) -> None:
    """Show what can be downloaded (workflow/datasets.csv), and which of it is in its place.

    A file that you put in its place by hand is taken, not fetched, if its checksum is right.

    Example: trackssl datasets --config config/paper.yaml
    """
    from trackssl.config import Config, Nyuv2, Scenes, Voc, parse, read_yaml
    from trackssl.datasets.overview import listed, render

    if config is None:
        sections = Voc(), Scenes(), Nyuv2()
    else:
        run = parse(Config, read_yaml(config), str(config))
        sections = run.voc, run.scenes, run.nyuv2
    files = listed(*sections, check=check)
    tell(
        render(files),
        files=[{"file": f.entry.file, "data": f.entry.name, "place": f.state} for f in files],
    )


def fetch_file(
    file: Annotated[str, typer.Argument(help="The file's name in the table of `datasets`.")],
    out: Annotated[Path, typer.Option(help="The folder to put it in.")] = Path(),
    mirror: Annotated[
        str | None, typer.Option(help="A folder's address that takes the place of the table's.")
    ] = None,
) -> None:
    """Download one file of the table, to take elsewhere or to prepare a machine without a network.

    A broken download goes on in the next call; a known checksum is compared.

    Example: trackssl fetch-file bvlc_reference_caffenet.caffemodel --out models
    """
    from trackssl.datasets.place import obtain
    from trackssl.datasets.table import read_table
    from trackssl.errors import InputError

    rows = read_table()
    entry = next((entry for entry in rows if entry.file == file), None)
    if entry is None:
        known = ", ".join(row.file for row in rows)
        raise InputError(f"{file}: is not in the table of data sets; it has {known}.")
    sha256 = obtain(entry.at(mirror) if mirror else entry, out / file)
    tell(f"{sha256}  {out / file}", out=out / file, sha256=sha256)


def fetch_voc(
    out: Annotated[Path, typer.Option(help="The index to write, JSON.")],
    settings: Annotated[
        str | None, typer.Option(help="Section `voc`: inline JSON or the path of a YAML file.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="source download: an archive elsewhere, or a mirror's folder with a / at its end."
        ),
    ] = None,
    md5: Annotated[
        str | None, typer.Option(help="source download: the MD5 checksum of that archive.")
    ] = None,
) -> None:
    """Put the VOC devkit in place, read and check every annotation, and write an index.

    Example: trackssl fetch-voc --settings '{"source": "devkit", "devkit": "VOCdevkit"}'
    --out resources/voc/index.json
    """
    from trackssl.config import Voc, load_settings
    from trackssl.datasets import fetch
    from trackssl.files import write_json

    index = fetch.fetch_voc(load_settings(Voc, settings, "voc"), address, md5)
    write_json(out, index.to_json())
    counts = [
        f"{split}: {len(held['images'])} images, {held['objects']} objects"
        for split, held in index.splits.items()
    ]
    tell(
        f"{out}: {len(index.classes)} classes; {'; '.join(counts)}",
        out=out,
        classes=len(index.classes),
        splits=counts,
    )


def voc_images(
    voc: Annotated[Path, typer.Option(help="The VOC index of fetch-voc.")],
    out: Annotated[Path, typer.Option(help="The index of labelled images to write, JSON.")],
) -> None:
    """List the images of a VOC index with the classes that they show, as in its classification.

    An image whose objects of a class are all difficult is ignored for that class.

    Example: trackssl voc-images --voc resources/voc/index.json
    --out resources/voc_images/index.json
    """
    from trackssl.datasets.image_index import write_image_index
    from trackssl.datasets.voc import read_index
    from trackssl.datasets.voc_images import voc_images

    index = voc_images(read_index(voc))
    write_image_index(out, index)
    counts = [f"{split}: {len(held.paths)} images" for split, held in index.splits.items()]
    tell(
        f"{out}: {len(index.classes)} classes; {'; '.join(counts)}",
        out=out,
        classes=len(index.classes),
        splits=counts,
    )


def fetch_mit67(
    out: Annotated[Path, typer.Option(help="The index of labelled images to write, JSON.")],
    settings: Annotated[
        str | None, typer.Option(help="Section `scenes`: inline JSON or the path of a YAML file.")
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            help="source download: folder of the archive and the lists elsewhere, with a / at its "
            "end."
        ),
    ] = None,
) -> None:
    """Put MIT Indoor 67 in place, decode every image that its lists name, and write an index.

    Example: trackssl fetch-mit67 --settings '{"source": "folder", "folder": "mit67"}'
    --out resources/mit67/index.json
    """
    from trackssl.config import Scenes, load_settings
    from trackssl.datasets.fetch_mit67 import fetch_mit67
    from trackssl.datasets.image_index import write_image_index

    index = fetch_mit67(load_settings(Scenes, settings, "scenes"), mirror)
    write_image_index(out, index)
    counts = [f"{split}: {len(held.paths)} images" for split, held in index.splits.items()]
    tell(
        f"{out}: {index.name}, {len(index.classes)} classes; {'; '.join(counts)}",
        out=out,
        data=index.name,
        classes=len(index.classes),
        splits=counts,
    )
