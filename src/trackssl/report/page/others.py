"""Sections on what else was measured: neighbours, scenes, whole images, surface normals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trackssl.images import Image, read_image
from trackssl.report.page.blocks import Chart, Section, Table
from trackssl.report.page.dots import methods_chart
from trackssl.report.page.grids import classes_table, plain_table, results_table
from trackssl.report.page.images import file_picture, picture
from trackssl.report.page.opening import differences
from trackssl.report.page.run import TABLES, Run, headline, per_method
from trackssl.report.page.svg import INK, bare, draw
from trackssl.tables import LOWER_IS_BETTER, read_csv

_MOST_CELLS = 14  # classes whose names and shares are written out
_MOST_SHEETS = 2
_MOST_ROWS_PX = 800  # of the pictures of normals

_EXPLORED = (  # file, title, what is seen, caption
    (
        "neighbours",
        "Patches and their nearest ones",
        "A row a patch: it stands left, the patches most like it to the right.",
        "Patches of the run's own videos and those that the network holds to be most alike.",
    ),
    (
        "map",
        "A map of the patches",
        "Patches laid out so that those alike lie near each other.",
        "Near patches have like features; the map's axes mean nothing by themselves.",
    ),
)


def retrieval_section(run: Run) -> Section:
    """The table, and the sheets of an untrained and of the best network."""
    title = "Nearest windows: what the features hold to be alike"
    if "voc_retrieval" not in run.tables:
        return Section(
            "retrieval", "Neighbours", title, absent="Retrieval was not part of this run."
        )
    blocks = _table_blocks(run, "voc_retrieval")
    best = _best(run, "voc_retrieval")
    for method in dict.fromkeys([best, "random"]):
        sheets = sorted(run.results.glob(f"voc_retrieval/{method}_seed*.png"))
        for path in sheets[:1]:
            blocks.append(
                file_picture(
                    path,
                    run.label,
                    alt=f"A row a query: an object of the test images, then the windows that "
                    f"{method} finds most like it, framed green where the class is the same, red "
                    "and with the class's name where it is another.",
                    title=f"Queries and their nearest windows, {method}",
                    caption="The query stands left. A match of the same class has a green frame; "
                    "one of another class has a red frame and its class below. The queries are a "
                    "fixed draw, the same for every network.",
                    broad=True,
                )
            )
    return Section("retrieval", "Neighbours", title, blocks)


def classification_section(run: Run) -> Section:
    """Classes of whole images."""
    title = TABLES["voc07_classification"]
    if "voc07_classification" not in run.tables:
        return Section(
            "classification", "Images", title, absent="Classification was not part of this run."
        )
    blocks = _table_blocks(run, "voc07_classification")
    blocks.append(classes_table(run, "voc07_classification", "AP of each class"))
    return Section("classification", "Images", title, [block for block in blocks if block])


def scenes_section(run: Run) -> Section:
    """Scenes, and which are taken for which."""
    title = "Scenes: MIT Indoor 67"
    if "mit67_accuracy" not in run.tables:
        return Section("scenes", "Scenes", title, absent="Scenes were not part of this run.")
    blocks = _table_blocks(run, "mit67_accuracy")
    learnt = [m for m in run.tables["mit67_accuracy"]["method"].unique() if m.startswith("unsup")]
    method = _best(run, "mit67_accuracy", learnt)
    kind = "finetuned" if method.endswith("_finetuned") else "linear"
    network = method.removesuffix("_finetuned")
    found = sorted(run.results.glob(f"scenes/{kind}/{network}/seed*/confusion.csv"))
    if found:
        blocks.append(_confusion(run, pd.read_csv(found[0]), method))
    return Section("scenes", "Scenes", title, blocks)


def normals_section(run: Run) -> Section:
    """Surface normals, with some predictions."""
    title = "Surface normals: NYU Depth v2"
    if "nyu_normals" not in run.tables:
        return Section(
            "normals", "Normals", title, absent="Surface normals were not part of this run."
        )
    blocks = _table_blocks(run, "nyu_normals")
    method = _best(run, "nyu_normals")
    for path in sorted(run.results.glob(f"normals/methods/{method}/seed*/test.png"))[:1]:
        sheet = whole_rows(read_image(path))
        blocks.append(
            picture(
                sheet,
                run.label,
                alt="Rows of three pictures: a room, its true surface normals in colours, and "
                f"those that {method} predicts, which are coarser.",
                title=f"Predicted normals, {method}",
                caption="Image, truth, prediction. Red is to the right, green up, blue towards "
                "the camera; black is unknown.",
            )
        )
    return Section("normals", "Normals", title, blocks)


def explore_section(run: Run) -> Section | None:
    """Neighbours and a map of the run's own patches, where they were made."""
    blocks: list[object] = []
    for stem, title, alt, caption in _EXPLORED:
        path = run.results / f"explore/{stem}.png"
        table = path.with_suffix(".csv")
        if path.is_file():
            found = file_picture(
                path,
                run.label,
                alt=alt,
                title=title,
                caption=caption,
                longest_px=1600,
                broad=True,
                link=run.link(table) if table.is_file() else "",
            )
            blocks.append(found)
    partners = run.results / "explore/partners.csv"
    if partners.is_file():
        blocks.append(_partners(run, partners))
    if not blocks:
        return None
    return Section("explore", "Map", "What the network holds to be alike", blocks)


def _partners(run: Run, path: Path) -> Table:
    found = read_csv(path)
    heads = [str(name).replace("_", " ") for name in found.columns]
    rows = found.to_numpy().tolist()
    caption = (
        "Of the patches, in percent: how many have the patch they were tracked to among their 1, 5 "
        "and 20 nearest, and how many would by chance."
    )
    table = plain_table("Does a patch find its partner?", heads, rows, caption)
    return replace(table, link=run.link(path))


def whole_rows(sheet: Image) -> Image:
    """As many rows of a sheet of normals as are shown: cut at one of the black lines between."""
    black = np.flatnonzero((sheet == 0).all(axis=(1, 2)))
    fitting = black[black < _MOST_ROWS_PX]
    if len(sheet) <= _MOST_ROWS_PX or len(fitting) < 3:
        return sheet
    return sheet[: fitting[-1] + 1]


def _table_blocks(run: Run, stem: str) -> list[object]:
    words = TABLES[stem]
    return [
        methods_chart(run, stem, run.tables[stem], f"{words}: methods side by side"),
        results_table(run, stem, "In numbers, beside the paper's"),
        *differences(run, stem),
    ]


def _best(run: Run, stem: str, among: list[str] | None = None) -> str:
    """The method with the best mean of the headline metric, among these if there are any."""
    table = run.tables[stem]
    means = {
        method: float(np.mean(values))
        for method, values in per_method(table, headline(table))
        if values and method != "mean_normal" and (not among or method in among)
    }
    pick = min if headline(table) in LOWER_IS_BETTER else max
    return pick(means, key=lambda method: means[method])


def _confusion(run: Run, counts: pd.DataFrame, method: str) -> Chart:
    classes = [str(name) for name in counts["class"]]
    values = counts[counts["class"]].to_numpy(float)
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    small = len(classes) <= _MOST_CELLS

    def plot(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        ground = np.zeros((*shares.shape, 4))
        ground[..., :3] = np.array([20, 112, 214]) / 255
        ground[..., 3] = 0.06 + 0.94 * shares
        axes.imshow(ground, interpolation="none", aspect="equal")
        axes.grid(visible=False)
        size = (8 if narrow else 11) if small else (3 if narrow else 7)
        axes.set_xticks(range(len(classes)), classes, rotation=90, size=size)
        axes.set_yticks(range(len(classes)), classes, size=size)
        axes.set(xlabel="predicted", ylabel="true")
        if small:
            for (row, column), share in np.ndenumerate(shares):
                if share >= 0.005:
                    colour = "white" if share > 0.5 else INK
                    text = f"{100 * share:.0f}"
                    axes.text(
                        column, row, text, ha="center", va="center",
                        size=8 if narrow else 11, color=colour,
                    )  # fmt: skip
        axes.set_anchor("NW")
        bare(axes)

    right = shares.diagonal()
    order = np.argsort(right)
    worst = ", ".join(f"{classes[i]} {100 * right[i]:.0f} %" for i in order[:3])
    best = ", ".join(f"{classes[i]} {100 * right[i]:.0f} %" for i in order[::-1][:3])
    return draw(
        "confusion",
        plot,
        (560, 350),
        run.label,
        alt=f"A square of {len(classes)} by {len(classes)} cells, true classes down, predicted "
        f"ones across. Most often right: {best}; least often: {worst}.",
        title=f"Which scene is taken for which, {method}",
        caption="A row is one class's test images in percent; right answers lie on the diagonal.",
    )
