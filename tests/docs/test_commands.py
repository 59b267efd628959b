"""Every command that the README and the documentation show is run as it stands there.

`make test` runs them in a copy of the project on a tiny config, in a finished run; those that take
over a minute, marked `<!-- run: long -->`, are run by `make test-docs` alone, in a fresh clone on
the real miniature, where also all others are run again. What no test can run says why.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import cv2
import pytest
from copied_project import CopiedProject
from fenced_blocks import Block, blocks
from snakemake_run import REPOSITORY

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *(REPOSITORY / "docs").glob("*.md"),
    REPOSITORY / "docs/reference/files.md",
]
SHELL = {page: found for page in PAGES if (found := blocks(page, "sh"))}


def identify(value: object) -> str:
    return value.relative_to(REPOSITORY).as_posix() if isinstance(value, Path) else str(value)


def add_samples(folder: Path) -> None:
    """The files that the pages name as the reader's own: videos and photographs of the run."""
    videos = sorted((folder / "resources/videos").rglob("*.mp4"))
    for name, video in zip(("holiday.mp4", "garden.mov"), videos, strict=False):
        shutil.copy(video, folder / name)
    (folder / "my_videos").mkdir()
    for video in videos[:12]:
        shutil.copy(video, folder / "my_videos")
    images = sorted((folder / "resources").rglob("JPEGImages/*.jpg"))
    for name, image in zip(("street.jpg", "dog.jpg", "image.jpg"), images, strict=False):
        shutil.copy(image, folder / name)
    for place, chosen in (
        ("photos", images[:6]),
        ("labelled/a", images[:6]),
        ("labelled/b", images[6:12]),
    ):
        (folder / place).mkdir(parents=True)
        for image in chosen:
            cv2.imwrite(str(folder / place / image.name), cv2.imread(str(image)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> CopiedProject:
    """A copy of the project with a tiny run that has ended."""
    project = CopiedProject(tmp_path_factory.mktemp("project"))
    project.make_tiny()
    config = project.config
    config["videos"]["count"] = 12
    config["voc"] |= {"train_images": 16, "test_images": 8}
    config["networks"] = {
        "scratch": {"init": "random"},
        "unsup_8m": {"init": "pairs", "set": "8m"},
    }
    config["methods"] = {
        "scratch": {"networks": ["scratch"]},
        "unsup_8m": {"networks": ["unsup_8m"]},
    }
    config["comparisons"] = [["unsup_8m", "scratch"]]
    config["tables"] = ["voc_map"]
    project.config = config
    project.run("snakemake", "--cores", "2")
    (project.folder / ".venv/bin").mkdir(parents=True)
    (project.folder / ".venv/bin/activate").touch()  # the environment of the tests is active
    add_samples(project.folder)
    return project


@pytest.mark.parametrize("page", SHELL, ids=identify)
def test_each_block_is_run_or_says_why_not(page: Path) -> None:
    for block in SHELL[page]:
        known = block.mark in ("", "long") or block.mark.startswith("no, ")
        assert known, f"{page.name}:{block.line}: run: {block.mark}?"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "page", [p for p in SHELL if any(not b.mark for b in SHELL[p])], ids=identify
)
def test_the_commands_of_a_page_work(finished: CopiedProject, page: Path) -> None:
    for block in SHELL[page]:
        if not block.mark:
            finished.run("bash", "-euo", "pipefail", "-c", block.text)


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone, with the real config, of what is committed here."""
    folder = tmp_path_factory.mktemp("clone") / "trackssl"
    subprocess.run(["git", "clone", "-q", REPOSITORY, folder], check=True)
    return folder


def run_as_written(block: Block, folder: Path) -> None:
    """Run a block as someone types it, in the clone's own environment once it is there."""
    active = "if [ -f .venv/bin/activate ]; then source .venv/bin/activate; fi\n"
    outside = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "PYTEST_CURRENT_TEST")
    environment = {name: value for name, value in os.environ.items() if name not in outside}
    begun = time.monotonic()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", active + block.text], cwd=folder, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, f"{block.page.name}:{block.line}\n{done.stdout}"
    first = block.text.splitlines()[0]
    print(f"{time.monotonic() - begun:7.1f} s  {block.page.name}:{block.line}  {first}", flush=True)


@pytest.mark.docs
@pytest.mark.timeout(14_400)
def test_all_pages_work_as_written_in_a_fresh_clone(clone: Path) -> None:
    ordered = [
        REPOSITORY / "docs/tutorial.md",
        *(page for page in SHELL if page.name != "tutorial.md"),
    ]
    sampled = False
    for page in ordered:
        for block in SHELL[page]:
            if block.mark in ("", "long"):
                if not sampled and (clone / "resources/videos").is_dir():
                    add_samples(clone)
                    sampled = True
                run_as_written(block, clone)
