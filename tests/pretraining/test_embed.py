import json
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from trackssl.config import Finetuning
from trackssl.detection.crops import cut_windows
from trackssl.detection.features import load_detector
from trackssl.errors import InputError
from trackssl.images import encode_jpeg
from trackssl.networks import DETECTOR, RANKING, DetectorNetwork, RankingNetwork, save_weights
from trackssl.pairs.augment import Augmentation
from trackssl.pairs.dataset import PairDataset
from trackssl.pairs.store import PairShard
from trackssl.pretraining.commands import register
from trackssl.pretraining.embed import Encoder, embed, image_files

torch.set_num_threads(1)

PX = 67
NETWORK = {"width": 0.1, "input_px": PX}


def settings(**sections: object) -> str:
    return json.dumps({"network": NETWORK, **sections})


@pytest.fixture(scope="module")
def ranking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "ranking.safetensors"
    network = RankingNetwork(0.1, PX, seed=3)
    save_weights(path, network, {"format": RANKING, "settings": settings()})
    return path


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "detector.safetensors"
    finetuning = Finetuning().model_dump()
    metadata = {
        "format": DETECTOR,
        "settings": settings(finetuning=finetuning),
        "classes": json.dumps(["cat", "dog"]),
        "init": "random",
    }
    save_weights(path, DetectorNetwork(3, 0.1, PX, seed=4), metadata)
    return path


@pytest.fixture(scope="module")
def photos(real_data: Path) -> list[Path]:
    """Real photographs of many sizes."""
    folder = next((real_data / "voc").rglob("JPEGImages"))
    return sorted(folder.glob("*.jpg"))[:11]


def command(*arguments: object) -> Result:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["embed", *map(str, arguments)])
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("patch_px", [PX, 90, 41])
def test_features_of_patches_are_those_of_training(
    ranking: Path, make_pairs, tmp_path: Path, patch_px: int
) -> None:
    pairs = make_pairs(6, patch_px)
    shard = PairShard(pairs.parent / "0.arrow")
    paths = [tmp_path / f"{row}.jpg" for row in range(6)]
    for row, path in enumerate(paths):
        path.write_bytes(shard.jpegs(row)[0])
    dataset = PairDataset(pairs, 6, 6, PX, seed=0, augmentation=Augmentation(mirror=False))
    patches = dataset.batch(0).first[np.argsort(dataset.indices(0))]
    with torch.inference_mode():
        network = RankingNetwork(0.1, PX, seed=3)
        fc7, pool5 = network(patches).numpy(), network.pool5(patches).flatten(1).numpy()
    np.testing.assert_allclose(embed(paths, ranking, "fc7"), fc7, atol=1e-6)
    np.testing.assert_allclose(embed(paths, ranking, "pool5"), pool5, rtol=1e-5, atol=1e-6)
    assert np.ptp(fc7, axis=0).max() > 0.01  # the patches can be told apart


def test_fc7_of_a_ranking_network_has_length_one_and_a_detectors_has_not(
    ranking: Path, detector: Path, photos: list[Path]
) -> None:
    np.testing.assert_allclose(np.linalg.norm(embed(photos, ranking), axis=1), 1, atol=1e-4)
    assert np.abs(np.linalg.norm(embed(photos, detector), axis=1) - 1).min() > 0.1


@pytest.mark.parametrize("layer", ["pool5", "fc7"])
def test_a_detector_sees_an_image_as_a_window_of_all_of_it(
    detector: Path, photos: list[Path], layer: str
) -> None:
    network, size, finetuning = load_detector(detector)
    crops = []
    for path in photos:
        image = cv2.imread(str(path))
        box = np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32)
        crops.append(
            cut_windows(image, box, size.input_px, finetuning.context_px, np.zeros(1, bool))
        )
    images = torch.from_numpy(np.concatenate(crops)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        wanted = network.features(images, layer).numpy()
    np.testing.assert_allclose(embed(photos, detector, layer), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", ["pool5", "fc7"])
def test_the_batch_size_changes_nothing(
    ranking: Path, detector: Path, photos: list[Path], layer: str
) -> None:
    for weights in (ranking, detector):
        wanted = embed(photos, weights, layer, batch_images=len(photos))
        assert np.ptp(wanted, axis=0).max() > 1e-3
        for batch_images in (1, 4, 64):
            found = embed(photos, weights, layer, batch_images=batch_images)
            assert np.abs(found - wanted).max() <= 1e-5 * max(1, np.abs(wanted).max())


def test_the_table_holds_each_image_by_name(
    ranking: Path, photos: list[Path], tmp_path: Path
) -> None:
    for folder in ("deep/er", "deep/aa"):
        (tmp_path / folder).mkdir(parents=True)
    names = ["deep/b.png", "deep/c.jpg", "deep/aa/y.jpeg", "deep/er/z.JPG"]
    cv2.imwrite(str(tmp_path / names[0]), cv2.imread(str(photos[0])))
    for name, photo in zip(names[1:], photos[1:4], strict=True):
        (tmp_path / name).write_bytes(photo.read_bytes())
    (tmp_path / "deep/notes.txt").write_text("not an image")
    out = tmp_path / "features.parquet"
    text = command(photos[4], tmp_path / "deep", "--weights", ranking, "--out", out).output
    assert text.startswith("5 images, 104 numbers each")
    given = [photos[4], *(tmp_path / name for name in names)]
    table = pd.read_parquet(out)
    assert table["path"].tolist() == list(map(str, given))
    np.testing.assert_allclose(np.stack(table["feature"]), embed(given, ranking), atol=1e-6)
    schema = pq.read_schema(out)
    assert str(schema.field("feature").type).startswith("fixed_size_list<")
    assert schema.metadata[b"trackssl.layer"] == b"fc7"


def test_many_batches_make_several_row_groups_and_keep_the_order(
    ranking: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackssl.pretraining.embed._GROUP_BYTES", 4 * 104 * 4)
    out = tmp_path / "features.parquet"
    command(*photos, "--weights", ranking, "--out", out, "--batch-images", 3)
    assert pq.ParquetFile(out).num_row_groups == 4
    table = pd.read_parquet(out)
    assert table["path"].tolist() == list(map(str, photos))
    np.testing.assert_allclose(np.stack(table["feature"]), embed(photos, ranking), atol=1e-6)


def test_an_image_that_does_not_decode_is_named_or_left_out(
    ranking: Path, photos: list[Path], tmp_path: Path
) -> None:
    short, empty, out = (tmp_path / name for name in ("short.jpg", "empty.jpg", "out.parquet"))
    short.write_bytes(photos[0].read_bytes()[:900])
    empty.touch()
    given = [photos[0], short, photos[1], empty, photos[2]]
    with pytest.raises(InputError, match=r"short\.jpg: this is not an image that can be decoded"):
        command(*given, "--weights", ranking, "--out", out)
    assert not list(tmp_path.glob("*.part")) and not out.exists()
    result = command(*given, "--weights", ranking, "--out", out, "--skip-bad", "--batch-images", 2)
    assert result.stderr.count("left out") == 2
    assert "short.jpg" in result.stderr and "empty.jpg" in result.stderr
    table = pd.read_parquet(out)
    assert table["path"].tolist() == list(map(str, photos[:3]))
    wanted = embed(photos[:3], ranking)
    np.testing.assert_allclose(np.stack(table["feature"]), wanted, atol=1e-6)
    with pytest.raises(InputError, match="none of the images can be decoded"):
        command(short, empty, "--weights", ranking, "--out", out, "--skip-bad")
    assert len(pd.read_parquet(out)) == 3  # the former table stays whole


def test_an_image_of_a_huge_claimed_size_is_refused(ranking: Path, tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    jpeg = bytearray(encode_jpeg(np.zeros((16, 16, 3), np.uint8)))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\xdc\xff\xdc"
    path.write_bytes(jpeg)
    with pytest.raises(InputError, match=r"huge\.jpg: this is not an image that can be decoded"):
        embed([path], ranking)


def test_what_is_not_there_is_named(ranking: Path, photos: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with pytest.raises(InputError, match=r"absent\.jpg: there is no such image"):
        command(tmp_path / "absent.jpg", "--weights", ranking, "--out", out)
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="bare: the folder holds no images"):
        command(tmp_path / "bare", "--weights", ranking, "--out", out)
    with pytest.raises(InputError, match=r"absent\.safetensors: there is no such weights file"):
        command(photos[0], "--weights", tmp_path / "absent.safetensors", "--out", out)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA device is at hand"):
            command(photos[0], "--weights", ranking, "--out", out, "--device", "cuda")
    odd = tmp_path / os.fsdecode(b"\xff.jpg")
    odd.write_bytes(photos[0].read_bytes())
    with pytest.raises(InputError, match="its name is not UTF-8"):
        list(image_files([tmp_path]))


def test_weights_that_do_not_serve_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    network = RankingNetwork(0.1, PX, seed=3)
    for text in (None, "[]", "{", "{}"):
        save_weights(path, network, {"format": RANKING} | ({"settings": text} if text else {}))
        with pytest.raises(InputError, match="does not say which network it is of"):
            Encoder(path, "fc7")
    save_weights(path, network, {"format": "something.else", "settings": settings()})
    with pytest.raises(InputError, match=r"its format is 'something\.else'"):
        Encoder(path, "fc7")
    torch.nn.init.constant_(network.get_submodule("fc7").weight, torch.nan)
    save_weights(path, network, {"format": RANKING, "settings": settings()})
    with pytest.raises(InputError, match="not finite"):
        Encoder(path, "fc7")


def test_convolutions_alone_serve_for_pool5(photos: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    network = RankingNetwork(0.1, PX, seed=3)
    save_weights(path, network, {"format": RANKING, "settings": settings()})
    wanted = embed(photos[:2], path, "pool5")
    del network.fc6, network.fc7
    save_weights(path, network, {"format": RANKING, "settings": settings()})
    assert np.array_equal(embed(photos[:2], path, "pool5"), wanted)
    with pytest.raises(InputError, match=r"fc6\.weight.* are missing"):
        Encoder(path, "fc7")


if torch.cuda.is_available():  # not a skip, which counts as a failure where all data is there

    def test_a_gpu_gives_what_the_cpu_gives(ranking: Path, photos: list[Path]) -> None:
        for layer in ("pool5", "fc7"):
            cpu, gpu = (embed(photos, ranking, layer, device) for device in ("cpu", "cuda"))
            assert np.abs(cpu - gpu).max() <= 1e-5 * max(1, np.abs(cpu).max())


@pytest.mark.parametrize("layer", ["pool5", "fc7"])
def test_before_training_a_network_is_the_one_that_its_seed_draws(
    tmp_path: Path, layer: str
) -> None:
    metadata = {"format": RANKING, "settings": settings(), "seed": "7"}
    drawn, trained = tmp_path / "drawn.safetensors", tmp_path / "trained.safetensors"
    save_weights(drawn, RankingNetwork(0.1, PX, seed=7), metadata)
    save_weights(trained, RankingNetwork(0.1, PX, seed=8), metadata)
    crops = np.random.default_rng(0).integers(0, 256, (3, PX, PX, 3), np.uint8)
    before = Encoder(trained, layer, untrained=True)(crops)
    assert np.array_equal(before, Encoder(drawn, layer)(crops))
    assert not np.array_equal(before, Encoder(trained, layer)(crops))


def test_before_training_a_detector_has_features_of_the_same_shape(detector: Path) -> None:
    crops = np.zeros((2, PX, PX, 3), np.uint8)
    for layer in ("pool5", "fc7"):
        shapes = {Encoder(detector, layer, untrained=u)(crops).shape for u in (False, True)}
        assert len(shapes) == 1
