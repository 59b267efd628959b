"""The whole graph on real videos and real PASCAL VOC images."""

from pathlib import Path

import pandas as pd
import pyarrow.ipc
import pytest

from trackssl.datasets.voc import Devkit

VIDEOS = ["car-roundabout.mp4", "dog.mp4", "cat.mp4"]


def devkit_of_all_classes(source: Devkit, folder: Path) -> Devkit:
    """The real images and annotations, with lists that hold each class of theirs in few images."""
    devkit = Devkit(folder, source.year)
    devkit.list_path("train").parent.mkdir(parents=True)
    for name in ("JPEGImages", "Annotations"):
        (devkit.root / name).symlink_to(source.root / name)
    for split in ("train", "val"):
        missing = {image: set(source.annotation(image).classes) for image in source.images(split)}
        taken = []
        while any(missing.values()):
            taken.append(image := max(missing, key=lambda name: len(missing[name])))
            found = set(missing[image])
            missing = {name: classes - found for name, classes in missing.items()}
        devkit.list_path(split).write_text("".join(f"{image}\n" for image in taken))
    return devkit


@pytest.mark.timeout(900)
@pytest.mark.real_data
def test_three_real_videos_and_real_voc_images_give_a_table(pipeline, tiny, real_data) -> None:
    videos = pipeline.folder / "my videos"
    videos.mkdir()
    for name in VIDEOS:
        (videos / name).symlink_to(real_data / "videos" / name)
    (videos / "broken.mp4").write_text("not a video")
    devkit = devkit_of_all_classes(
        Devkit(real_data / "voc" / "VOCdevkit", 2012), pipeline.folder / "VOCdevkit"
    )
    tiny["finetuning"]["iterations"] = 6
    pipeline.configure(
        {
            "name": "real",
            "videos": {"source": "folder", "folder": str(videos), "count": None, "shards": 2},
            "voc": {"source": "devkit", "devkit": str(devkit.folder)},
            **tiny,
            "networks": {
                "scratch": {"init": "random"},
                "unsup_8m": {"init": "pairs", "set": "8m"},
            },
            "methods": {
                "scratch": {"networks": ["scratch"]},
                "both": {"networks": ["scratch", "unsup_8m"]},
            },
        }
    )
    code, output = pipeline.run("results/voc_map.csv")
    assert code == 0, output

    table = pd.read_csv(pipeline.folder / "results/voc_map.csv").set_index("method")
    assert list(table.index) == ["scratch", "both"]
    assert set(table["data"]) == {"VOC2012"}
    assert {"aeroplane", "person", "tvmonitor"} <= set(table.columns)
    assert table.loc["scratch", "pairs"] == 0
    assert table.loc["both", "pairs"] > 5
    assert not table["comparable"].any(), "a tiny network is not the paper's"

    rows = pd.concat(
        pd.read_parquet(path)
        for path in sorted((pipeline.folder / "resources/manifests").glob("*.parquet"))
    ).set_index("video")
    assert rows.loc["broken", "status"] == "failed"
    assert rows.loc["broken", "reason"]
    assert (rows.drop("broken")["status"] == "ok").all()

    mined = set()
    for shard in (pipeline.folder / "results/pairs").glob("*.arrow"):
        with pyarrow.ipc.open_file(shard) as file:
            mined |= set(file.read_all()["video"].to_pylist())
    assert mined <= {"car-roundabout", "dog", "cat"}
    assert len(mined) >= 2
