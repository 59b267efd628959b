"""`results/voc_map.csv`: a row a method and seed, mAP and each class's AP, ours and the paper's."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError, safe_open

from trackssl.config import Network, Section, Voc
from trackssl.errors import InputError
from trackssl.tables import TABLE_DIGITS, read_csv, summarise, write_csv, write_results


class Row(Section):
    """One row to be: its AP file and the networks whose features it joins.

    `members` counts them, as those that are not trained have no file; null: as many as files.
    `features` says which ones, for the protocol, where they are not the fine-tuned networks' usual.
    """

    method: str
    seed: int
    ap: str
    networks: list[str]
    members: int | None = None
    features: str = ""


def paper_value(table: str, method: str, metric: str) -> tuple[float | None, str]:
    """The paper's number and where it stands, or (None, "") where it has none."""
    values = pd.read_csv(str(files("trackssl.report") / "paper_values.csv"))
    is_it = (values.table == table) & (values.method == method) & (values.metric == metric)
    found = values[is_it]
    return (None, "") if found.empty else (float(found.value.iloc[0]), found.source.iloc[0])


def voc_map_rows(
    rows: Sequence[Row], run: str, voc: Voc, network: Network, images: int
) -> list[dict[str, Any]]:
    """Rows of the table, AP and mAP in percent. Raises InputError for a missing AP file."""
    real = voc.source != "miniworld"
    data = f"VOC{voc.year}" if real else "miniworld"
    full = network == Network()
    papers = voc.year == 2012 and voc.rule == "area"
    protocol = (
        f"R-CNN without box regression, trained on {voc.train_split}; AP in percent "
        f"({voc.rule}, IoU 0.5) on {voc.test_split}; input {network.input_px} px, "
        f"width {network.width:g}"
    )
    result = []
    for row in rows:
        ap = read_csv(Path(row.ap)).set_index("class")["ap"]
        made_from = [_metadata(Path(path)) for path in row.networks]
        value, source = paper_value("voc_map", row.method, "mAP") if papers else (None, "")
        result.append(
            {
                "run": run,
                "data": data,
                "split": voc.test_split,
                "method": row.method,
                "pairs": _most_pairs([metadata.get("pairs", "0") for metadata in made_from]),
                "rounds": max((int(data.get("rounds", 0)) for data in made_from), default=0),
                "members": len(row.networks) if row.members is None else row.members,
                "seed": row.seed,
                "items": images,
                "mAP": 100 * ap["mean"],
                **_classes(ap.drop("mean")),
                "paper_value": value,
                "paper_source": source,
                "comparable": str(real and full and papers).lower(),
                "protocol": protocol + (f"; {row.features}" if row.features else ""),
            }
        )
    return result


def _metadata(weights: Path) -> Mapping[str, str]:
    """What a weights file says of itself, read without its tensors."""
    try:
        with safe_open(weights, framework="numpy") as file:
            return file.metadata()
    except (OSError, SafetensorError) as error:
        raise InputError(f"{weights}: cannot be read as a weights file ({error}).") from None


def _most_pairs(pairs: Sequence[str]) -> Any:
    """Pairs of the largest set among the members; pandas' NA, an empty cell, if any is unknown."""
    return max(map(int, pairs), default=0) if all(pairs) else pd.NA


def _classes(ap: pd.Series) -> Mapping[str, float]:
    return {str(name): 100 * float(value) for name, value in ap.items()}


def write_voc_map(
    rows: Sequence[Row],
    run: Path,
    index: Path,
    voc: Voc,
    network: Network,
    out: Path,
    summary: Path,
) -> pd.DataFrame:
    """Write the table and its means and spreads over seeds; returns the table."""
    name = json.loads(run.read_text(encoding="utf-8"))["name"]
    images = json.loads(index.read_text(encoding="utf-8"))["splits"][voc.test_split]["images"]
    write_results(out, voc_map_rows(rows, name, voc, network, len(images)))
    table = read_csv(out)
    write_csv(summary, summarise(table, ["mAP"]), TABLE_DIGITS)
    return table
