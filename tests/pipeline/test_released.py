"""The authors' released weights as a row of the table: from a file or an address, in the graph."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from trackssl.cli import app
from trackssl.config import Config, parse
from trackssl.errors import InputError
from trackssl.networks import RANKING, build_detector, load_weights
from trackssl.networks.caffe import ranking_shapes, write_caffemodel
from trackssl.provenance import read_record

REPOSITORY = Path(__file__).parents[2]
NAME = "color_model.caffemodel"
WEIGHTS = "results/pretraining/released_color/weights.safetensors"


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .caffemodel of conv1_2 to conv5_2 alone: 9 MB, with fc6 and fc7 it would be 177."""
    draws = np.random.default_rng(0)
    layers: dict[str, list[np.ndarray]] = {}
    for name, shape in ranking_shapes().items():
        if name.startswith("conv"):
            blobs = layers.setdefault(name.replace(".", "_2.").split(".")[0], [])
            blobs.append(draws.normal(0, 0.01, shape).astype(np.float32))
    path = tmp_path_factory.mktemp("released") / NAME
    write_caffemodel(path, layers)
    return path


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, notes the ranges asked for; /broken/FILE breaks off and is then not there.

    It breaks off half way in the first request for it; what begins there is answered.
    """

    asked: list[str | None]

    def do_GET(self) -> None:
        self.asked.append(asked := self.headers.get("Range"))
        if not self.path.startswith("/broken/"):
            return super().do_GET()
        data = (Path(self.directory) / Path(self.path).name).read_bytes()
        half = len(data) // 2
        start, end = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", asked or "").groups())
        end = min(end + 1, len(data))
        if len(self.asked) == 2:  # the server has lost the file, and finds it again
            return self.send_error(404)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        self.wfile.write(data[start : half if len(self.asked) == 1 else end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(released: Path) -> Iterator[str]:
    Handler.asked = []
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=released.parent))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def import_weights(source: object, out: Path, *options: str) -> None:
    given = ["--suffix", "_2", "--convolutions-only", *options]
    ran = CliRunner().invoke(app, ["import-weights", str(source), "--out", str(out), *given])
    if ran.exception:
        raise ran.exception


def test_a_broken_off_download_goes_on_and_gives_the_same_weights_as_the_file(
    released: Path, server: str, tmp_path: Path
) -> None:
    out, checksum = tmp_path / "w.safetensors", sha256(released)
    address = f"{server}/broken/{NAME}"
    with pytest.raises(InputError, match="the server answers 404"):
        import_weights(address, out, "--sha256", checksum)
    half = released.stat().st_size // 2
    notes = json.loads((tmp_path / ".w.safetensors.progress/file.part.json").read_text())
    assert notes["had"] == [half]
    import_weights(address, out, "--sha256", checksum)
    assert Handler.asked[2] == f"bytes={half}-{released.stat().st_size - 1}"
    assert [path.name for path in tmp_path.iterdir()] == [out.name], "the download is still there"
    import_weights(released, tmp_path / "file.safetensors")
    assert (tmp_path / "file.safetensors").read_bytes() == out.read_bytes()
    tensors, metadata = load_weights(out, RANKING)
    assert len(tensors) == 10
    assert (metadata["pairs"], metadata["rounds"]) == ("", "0")
    build_detector("weights", 1.0, 67, 3, weights=out)


def test_a_download_is_not_fetched_again_because_its_layers_have_other_names(
    released: Path, server: str, tmp_path: Path
) -> None:
    out, given = tmp_path / "w.safetensors", ("--sha256", sha256(released))
    with pytest.raises(InputError, match=r"layers conv1_9, .* are missing, it has conv1_2"):
        import_weights(f"{server}/{NAME}", out, *given, "--suffix", "_9")
    assert not out.exists()
    import_weights(f"{server}/{NAME}", out, *given)
    assert len(Handler.asked) == 1


def test_a_wrong_source_is_one_sentence_and_leaves_nothing(
    released: Path, server: str, tmp_path: Path
) -> None:
    wrong = "0" * 64
    for source, checksum, said in [
        (f"{server}/{NAME}", wrong, f"{NAME}: the file's SHA-256 is .*, not 0000.* was removed"),
        (released, wrong, f"{NAME}: the file's SHA-256 is .*, not 0000.* correct the checksum"),
        (f"{server}/none", wrong, "the server answers 404"),
        ("http://127.0.0.1:1/none", wrong, "cannot be fetched"),
        (f"{server}/{NAME}", None, "what is downloaded needs a checksum"),
        (released, "12ab", "checksum '12ab' is no SHA-256"),
        (tmp_path / "none", wrong, "no such file"),
        ("ftp://127.0.0.1/x", wrong, "no such file"),
    ]:
        options = ["--sha256", checksum] if checksum else []
        with pytest.raises(InputError, match=said) as caught:
            import_weights(source, tmp_path / "w.safetensors", *options)
        assert str(source) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not list(tmp_path.iterdir())


def configured(tiny: dict, **source: object) -> dict:
    """A tiny run at full width whose only rows are the released weights and scratch."""
    return {
        **tiny,
        "name": "released",
        "seeds": [0, 1],
        "network": {"width": 1.0, "input_px": 67},
        "videos": {"source": "miniworld", "count": 2, "shards": 1},
        "voc": {"source": "miniworld", "devkit": "VOCdevkit"},
        "networks": {
            "released_color": {"init": "caffemodel", **source},
            "scratch": {"init": "random"},
            "own": {"init": "pairs", "set": "5m"},
            "own_again": {"init": "readapted", "after": "own"},
        },
        "methods": {
            name: {"networks": [name]}
            for name in ("released_color", "scratch", "own", "own_again")
        },
    }  # fmt: skip


def test_the_released_weights_are_a_row_whose_seeds_share_one_file(pipeline, tiny) -> None:
    values = configured(tiny, address="http://127.0.0.1:1/x.caffemodel", sha256="0" * 64)
    pipeline.configure(values)
    code, output = pipeline.run("--dry-run", "results/voc_map.csv")
    assert code == 0, output
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", output, re.M))
    assert jobs["import_weights"] == "1"
    assert (jobs["pretrain"], jobs["readapt"], jobs["finetune_detector"]) == ("2", "2", "8")
    tuned = [
        job for job in re.split(r"^\[", output, flags=re.M) if "Fine-tuning released_color" in job
    ]
    assert len(tuned) == 2
    assert all(WEIGHTS in job for job in tuned)


def test_the_rule_continues_a_broken_off_download_and_makes_the_weights(
    pipeline, tiny, released: Path, server: str
) -> None:
    values = configured(
        tiny, address=f"{server}/broken/{NAME}", sha256=sha256(released), suffix="_2", pairs=7
    )
    pipeline.configure(values)
    code, output = pipeline.run(WEIGHTS)
    assert code != 0
    assert "the server answers 404" in output
    code, output = pipeline.run(WEIGHTS)
    assert code == 0, output
    assert len(Handler.asked) == 3
    made = pipeline.folder / WEIGHTS
    metadata = load_weights(made, RANKING)[1]
    assert metadata["pairs"] == "7"
    assert json.loads(metadata["made_by"])["run"] == values["name"]
    assert read_record(pipeline.folder / "provenance", WEIGHTS).command[0] == "import-weights"
    assert not (pipeline.folder / "progress/import_weights/released_color").exists()


def test_a_missing_file_stops_the_run_before_any_job(pipeline, tiny) -> None:
    pipeline.configure(configured(tiny, path="absent.caffemodel"))
    code, output = pipeline.run()
    assert code != 0
    assert "absent.caffemodel" in output
    assert "Missing input files for rule import_weights" in output
    assert not (pipeline.folder / "results").exists()


@pytest.mark.parametrize(
    ("spec", "width", "said"),
    [
        ({}, 1.0, "exactly one of 'path' and 'address'"),
        ({"path": "a", "address": "http://b", "sha256": "0" * 64}, 1.0, "exactly one of"),
        ({"address": "http://b"}, 1.0, "an 'address' needs 'sha256'"),
        ({"address": "ftp://b", "sha256": "0" * 64}, 1.0, "must begin with http:// or https://"),
        ({"path": "a", "sha256": "0" * 63}, 1.0, "must be 64 hexadecimal digits"),
        ({"path": "a", "set": "5m"}, 1.0, "init 'caffemodel' does not take 'set'"),
        ({"init": "random", "suffix": "_2"}, 1.0, "init 'random' does not take 'suffix'"),
        ({"init": "weights", "path": "a", "sha256": "0" * 64}, 1.0, "does not take 'sha256'"),
        ({"path": "a"}, 0.5, "alexnet of full width, but this is a run of alexnet at width 0.5"),
    ],
)
def test_a_config_that_cannot_be_is_one_sentence(tiny, spec: dict, width: float, said: str) -> None:
    values = configured(tiny)
    values["network"]["width"] = width
    values["networks"]["released_color"] |= spec
    with pytest.raises(InputError, match=said) as caught:
        parse(Config, values, "config.yaml")
    assert "networks.released_color" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_examples_in_the_papers_config_are_ready() -> None:
    text = (REPOSITORY / "config/paper.yaml").read_text()
    values = yaml.safe_load(re.sub(r"^  # (\w+: {)", r"  \1", text, flags=re.M))
    assert {"released_color", "imagenet", "imagenet_torchvision"} < values["networks"].keys()
    with pytest.raises(InputError, match="must be 64 hexadecimal digits"):
        parse(Config, values, "paper.yaml")
    values["networks"]["released_color"]["sha256"] = "0" * 64
    parse(Config, values, "paper.yaml")
