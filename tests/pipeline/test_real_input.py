"""The whole graph on real videos and real PASCAL VOC images."""

import pandas as pd
import pyarrow.ipc

VIDEOS = ["car-roundabout.mp4", "dog.mp4", "cat.mp4"]


def test_three_real_videos_and_real_voc_images_give_a_table(pipeline, tiny, real_data) -> None:
    videos = pipeline.folder / "my videos"
    videos.mkdir()
    for name in VIDEOS:
        (videos / name).symlink_to(real_data / "videos" / name)
    (videos / "broken.mp4").write_text("not a video")
    tiny["finetuning"]["iterations"] = 6
    pipeline.configure(
        {
            "name": "real",
            "videos": {"source": "folder", "folder": str(videos), "count": None, "shards": 2},
            "voc": {"source": "devkit", "devkit": str(real_data / "voc" / "VOCdevkit")},
            **tiny,
            "networks": {
                "scratch": {"init": "random"},
                "unsup_8m": {"init": "pairs", "set": "8m"},
            },
            "methods": {
                "scratch": {"networks": ["scratch"]},
                "unsup_8m": {"networks": ["unsup_8m"]},
                "both": {"networks": ["scratch", "unsup_8m"]},
            },
        }
    )
    code, output = pipeline.run("results/voc_map.csv", timeout=240)
    assert code == 0, output

    table = pd.read_csv(pipeline.folder / "results/voc_map.csv").set_index("method")
    assert list(table.index) == ["scratch", "unsup_8m", "both"]
    assert set(table["data"]) == {"VOC2012"}
    assert {"aeroplane", "person", "tvmonitor"} <= set(table.columns)
    assert table.loc["unsup_8m", "pairs"] > 5
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
