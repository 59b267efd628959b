"""DVC on real clones with a folder as remote: reproduce, change, publish, pull what was published.

One run of a tiny config serves all tests of this file; each continues from the published commit.
"""

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest
import yaml
from dvc_clone import CONFIG, Clone, make_origin
from s3_server import CREDENTIALS, s3_server
from snakemake_run import REPOSITORY

from trackssl.config import TableName

pytestmark = pytest.mark.timeout(1800)
TABLES = [name for name in get_args(TableName) if name != "second_voc_map"]
RELEASES = ["release_tables", "release_models", "release_pairs", "release_plots"]
STAGES = ["pipeline", *RELEASES, *(f"table@{name}" for name in TABLES)]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which `dvc repro` ran, committed and pushed to the default remote beside it."""
    folder = tmp_path_factory.mktemp("dvc")
    clone = Clone(folder / "first", make_origin(folder / "origin"))
    output = clone.run("dvc", "repro")
    assert ran(output) == STAGES
    clone.commit("published")
    clone.run("dvc", "push")
    return clone


@pytest.fixture
def reader(published: Clone, tmp_path: Path) -> Clone:
    """A fresh clone of what was published; the remote lies beside the first one."""
    clone = Clone(tmp_path / "reader", published.folder)
    clone.run("dvc", "remote", "modify", "--local", "local", "url", str(remote(published)))
    return clone


def remote(published: Clone) -> Path:
    return published.folder.parent / "trackssl-dvc"


def ran(output: str) -> list[str]:
    """Stages that DVC ran, in order of `STAGES`."""
    return sorted(re.findall(r"Running stage '(.+)'", output), key=STAGES.index)


def jobs(output: str) -> list[str]:
    """Rules that Snakemake ran, each once, of what DVC printed."""
    return sorted(set(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", output)) - {"all"})


def weights(clone: Clone) -> dict[str, tuple[bytes, int]]:
    """Each weights file of a run with its content and time."""
    found = (clone.folder / "results").rglob("weights.safetensors")
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def tables(clone: Clone) -> dict[str, bytes]:
    """What is published in git and in the remote, by path."""
    folders = ("paper/tables", "release/tables", "release/plots", "release/models")
    paths = [path for folder in folders for path in (clone.folder / folder).rglob("*.*")]
    return {str(p.relative_to(clone.folder)): p.read_bytes() for p in paths if p.is_file()}


def test_a_fresh_clone_reproduces_the_tables_and_then_has_nothing_to_do(published: Clone) -> None:
    assert all((published.folder / f"results/{name}.csv").is_file() for name in TABLES)
    assert "Run `tiny` on miniworld" in (published.folder / "paper/tables/voc_map.md").read_text()
    pairs = list((published.folder / "release/pairs").rglob("*"))
    assert [path.name for path in pairs if path.is_file()] == ["release.json"]
    detectors = published.folder / "release/models/detection"
    assert (detectors / "methods/unsup_8m/seed0/svms.safetensors").is_file()
    assert (detectors / "networks/unsup_8m/seed0/weights.safetensors").is_file()
    assert ran(published.run("dvc", "repro")) == []


def test_what_was_published_is_pulled_and_nothing_is_computed(
    published: Clone, reader: Clone
) -> None:
    reader.run("dvc", "pull")
    output = reader.run("dvc", "repro", "--allow-missing")
    assert ran(output) == []
    assert tables(reader) == tables(published)
    assert sorted(path.name for path in (reader.folder / "results").iterdir()) == ["README.md"]
    for made in (".snakemake", "logs", "resources", "provenance"):
        assert not (reader.folder / made).exists()
    told = reader.run("trackssl", "provenance", "release/tables/voc_map.csv")
    assert "results/voc_map.csv" in told and "by pretrain" in told
    assert "by fetch-videos" in told
    told = reader.run(
        "trackssl",
        "provenance",
        "release/models/pretraining/unsup_8m/seed0/weights.safetensors",
    )
    assert "by fetch-videos" in told


def test_metrics_and_plots_show_what_was_published(published: Clone, reader: Clone) -> None:
    shown = json.loads(published.run("dvc", "metrics", "show", "--json"))
    values = shown[""]["data"]["paper/tables/voc_map.json"]["data"]
    assert set(values) == {"scratch", "unsup_8m"}
    assert 0 <= values["unsup_8m"]["mAP"] <= 100
    for name in TABLES:
        drawn = json.loads(
            published.run("dvc", "plots", "show", "--show-vega", f"release/plots/{name}.csv")
        )
        assert "not comparable" in drawn["data"]["values"][0]["about"]
        assert drawn["layer"][0]["encoding"]["y"]["field"] == "method"
    page = published.run("dvc", "plots", "show", "--out", "page").strip()
    assert page.endswith("index.html")
    text = (published.folder / "page/index.html").read_text()
    assert "Ranking loss" in text and "precision_recall" in text and "<DVC_METRIC" not in text
    shutil.rmtree(published.folder / "page")


def test_a_corrupted_file_in_the_remote_is_noticed_and_named(
    published: Clone, reader: Clone, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(remote(published), store)
    reader.run("dvc", "remote", "modify", "--local", "local", "url", str(store))
    wanted = (published.folder / "release/tables/voc_map.csv").read_bytes()
    (stored,) = [
        path for path in store.rglob("*") if path.is_file() and path.read_bytes() == wanted
    ]
    stored.chmod(0o644)
    stored.write_bytes(wanted.replace(b"tiny", b"tony"))
    output = reader.run("dvc", "pull", fails=True)
    assert "Checkout failed" in output and "release/tables" in output
    missing = reader.run("dvc", "status", "--cloud").split()
    assert [word for word in missing if "/" in word] == ["release/tables/voc_map.csv"]
    assert not (reader.folder / "release/tables/voc_map.csv").exists()


@pytest.mark.skipif(
    not (find_spec("dvc_s3") and find_spec("moto")), reason="dvc-s3 and moto are not installed"
)
def test_an_s3_compatible_server_is_a_remote(published: Clone, reader: Clone) -> None:
    with s3_server("trackssl") as address:
        for clone in (published, reader):
            clone.environment |= CREDENTIALS
            clone.run("dvc", "remote", "add", "--local", "s3", "s3://trackssl/published")
            clone.run("dvc", "remote", "modify", "--local", "s3", "endpointurl", address)
        published.run("dvc", "push", "--remote", "s3")
        reader.run("dvc", "pull", "--remote", "s3")
    assert tables(reader) == tables(published)


def test_a_comment_in_the_code_trains_nothing_again(published: Clone) -> None:
    before = weights(published)
    for module in ("pretraining/trainer.py", "detection/finetune.py"):
        with (published.folder / "src/trackssl" / module).open("a") as file:
            file.write("# a comment\n")
    output = published.run("dvc", "repro")
    assert ran(output) == ["pipeline"]
    assert jobs(output) == []
    assert weights(published) == before
    published.run("git", "checkout", "--", ".")


def test_a_changed_hyper_parameter_runs_what_depends_on_it_alone(published: Clone) -> None:
    before = weights(published)
    published.configure(CONFIG | {"svm": {"c": 10.0}})
    output = published.run("dvc", "repro")
    assert jobs(output) == [
        "compare_methods",
        "detect",
        "extract_features",  # temp(): gone since they were used
        "report",
        "score_detections",
        "train_svms",
        "voc_map",
    ]
    assert ran(output) == [
        "pipeline",
        "release_tables",
        "release_models",
        "release_plots",
        "table@voc_map",
    ]
    assert weights(published) == before
    changed = json.loads(published.run("dvc", "metrics", "diff", "--json"))
    assert list(changed) == ["paper/tables/voc_map.json"]
    assert all(key.endswith(".mAP") for key in changed["paper/tables/voc_map.json"])
    drawn = json.loads(
        published.run(
            "dvc", "plots", "diff", "HEAD", "--show-vega", "--targets", "release/plots/voc_map.csv"
        )
    )
    assert {row["rev"] for row in drawn["data"]["values"]} == {"HEAD", "workspace"}


def test_the_paper_s_scale_never_starts_by_accident(reader: Clone) -> None:
    stages = yaml.safe_load((REPOSITORY / "paper/dvc.yaml").read_text())["stages"]
    assert all(stage["frozen"] for stage in stages.values())
    output = reader.run("dvc", "repro", "--force", "paper/dvc.yaml:run", fails=True)
    assert "is frozen" in output and "missing data" in output
    assert not (reader.folder / ".snakemake").exists() and not (reader.folder / "runs").exists()
