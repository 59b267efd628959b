"""A clone of this project with a small config, in which the real DVC and Snakemake run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from snakemake_run import REPOSITORY, TINY

_SHORT = {"iterations": 3, "lr_step_iterations": 2, "batch_images": 8}

# Every table of dvc.yaml, on data as small as they can be.
CONFIG = TINY | {
    "name": "tiny",
    "seeds": [0],
    "videos": {"source": "miniworld", "count": 6, "shards": 1},
    "pretraining": {
        "sets": {"8m": {"size": 20, "epochs": 4}},
        "batch_pairs": 5,
    },
    "networks": {"scratch": {"init": "random"}, "unsup_8m": {"init": "pairs", "set": "8m"}},
    "methods": {"scratch": {"networks": ["scratch"]}, "unsup_8m": {"networks": ["unsup_8m"]}},
    "voc": {
        "source": "miniworld",
        "devkit": "resources/miniworld/VOCdevkit",
        "train_images": 12,
        "test_images": 8,
    },
    "retrieval": {"networks": ["scratch"]},
    "classification": {"networks": ["scratch"], "finetuning": _SHORT},
    "scenes": {
        "source": "miniworld",
        "folder": "resources/miniworld/indoor",
        "train_images": 3,
        "test_images": 1,
        "networks": ["scratch"],
        "baselines": ["gist"],
        "finetuning": _SHORT,
    },
    "nyuv2": {
        "source": "miniworld",
        "mat": "resources/miniworld/nyuv2/nyu_depth_v2_labeled.mat",
        "splits": "resources/miniworld/nyuv2/splits.mat",
        "normals": "resources/miniworld/nyuv2/normals",
        "grid": 4,
        "train_images": 6,
        "test_images": 2,
    },
    "normals": _SHORT | {"networks": ["scratch"]},
    "svm": {"c": 0.001},
    "release": {"models": ["pretraining", "detection"], "pairs": False},
}


class Clone:
    """A git clone; its own code runs in it."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder = folder
        subprocess.run(["git", "clone", "--quiet", source, folder], check=True)
        binaries = Path(sys.executable).parent
        self.environment = {
            **os.environ,
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }

    def run(self, *command: str, fails: bool = False) -> str:
        """Run a command in the clone -> what it printed; it must end well, or badly."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", *_AUTHOR, "commit", "--quiet", "--message", message)

    def configure(self, values: dict) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


_AUTHOR = ("-c", "user.name=tester", "-c", "user.email=tester@localhost")


def make_origin(folder: Path) -> Path:
    """A repository of the project's files as they lie here, with `CONFIG` as its config."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, folder / name)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    for command in (["init", "--quiet"], ["add", "--all"], [*_AUTHOR, "commit", "-qm", "start"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder
