"""From pairs and weights to the files of results/explore/: sheet, map, partners found."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from trackssl.config import Explore
from trackssl.errors import InputError
from trackssl.explore.map import draw_map, place_on_map
from trackssl.explore.neighbours import (
    AFTER,
    BEFORE,
    choose_queries,
    nearest_of_other_videos,
    neighbour_rows,
    neighbour_sheet,
)
from trackssl.explore.partners import partner_ranks, partner_table
from trackssl.explore.patches import Patches, features_of, read_patches
from trackssl.files import whole_file
from trackssl.images import Image
from trackssl.pretraining.embed import DeviceName, Encoder, Features, Layer
from trackssl.tables import write_csv

LAYERS: tuple[Layer, ...] = ("pool5", "fc7")
_DIGITS = 5


def look(
    trained: Path,
    held_out: Path | None,
    weights: Path,
    settings: Explore,
    out: Path,
    device: DeviceName = "auto",
) -> pd.DataFrame:
    """Write neighbours.png, .csv, map.png, .csv and partners.csv into `out` -> the last as a table.

    `trained` and `held_out` list the pairs of videos that the training saw and did not see. Raises
    InputError for files that do not serve, and for pairs of one video alone.
    """
    encoders = {
        (network, layer): Encoder(weights, layer, device, untrained=network == BEFORE)
        for network in (AFTER, BEFORE)
        for layer in LAYERS
    }
    patches = read_patches(
        trained, held_out, settings.max_pairs, encoders[AFTER, settings.layer].input_px
    )
    if len(np.unique(patches.videos)) < 2:
        raise InputError(
            f"{trained}: all its pairs are of one video, so there is no other to find neighbours "
            "in; add videos."
        )
    crops = patches.both
    features = {key: features_of(encoder, crops) for key, encoder in encoders.items()}
    partners = _partners(patches, features)
    write_csv(out / "partners.csv", partners, _DIGITS)
    _write_neighbours(patches, features, settings, out)
    _write_map(patches, features, settings, out)
    return partners


def _partners(patches: Patches, features: dict[tuple[str, Layer], Features]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for (network, layer), found in features.items():
        first, last = np.split(found, 2)
        ranks, among = partner_ranks(first, last, patches.videos)
        for kind, mine in (("held out", patches.held_out), ("trained on", ~patches.held_out)):
            if mine.any():
                videos = len(np.unique(patches.videos[mine]))
                row = {"network": network, "layer": layer, "videos": kind, "count": videos}
                rows.append(row | partner_table(ranks, among, mine))
    return pd.DataFrame(rows)


def _write_neighbours(
    patches: Patches, features: dict[tuple[str, Layer], Features], settings: Explore, out: Path
) -> None:
    queries = choose_queries(patches, settings.queries)
    videos = np.tile(patches.videos, 2)
    found, rows = [], []
    for network in (AFTER, BEFORE):
        known = features[network, settings.layer]
        nearest = nearest_of_other_videos(
            known[queries], patches.videos[queries], known, videos, settings.neighbours
        )
        found.append(nearest)
        rows += neighbour_rows(patches, queries, nearest, network)
    _write_png(out / "neighbours.png", neighbour_sheet(patches, queries, found, settings.layer))
    write_csv(out / "neighbours.csv", rows, _DIGITS)


def _write_map(
    patches: Patches, features: dict[tuple[str, Layer], Features], settings: Explore, out: Path
) -> None:
    after, before = (
        place_on_map(features[network, settings.layer][: len(patches)], seed=0)
        for network in (AFTER, BEFORE)
    )
    drawn, shown = draw_map(patches, after, before, settings.layer)
    _write_png(out / "map.png", drawn)
    table = {
        "video": patches.videos,
        "first_frame": patches.first_frames,
        "held_out": patches.held_out,
        "x": after[:, 0],
        "y": after[:, 1],
        "x_before_training": before[:, 0],
        "y_before_training": before[:, 1],
        "drawn": shown,
    }
    write_csv(out / "map.csv", pd.DataFrame(table), _DIGITS)


def _write_png(path: Path, image: Image) -> None:
    with whole_file(path) as part:
        part.write_bytes(cv2.imencode(".png", image)[1].tobytes())
