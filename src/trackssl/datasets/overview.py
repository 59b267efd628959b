"""The table of data sets as a person reads it: what there is, and what of it is in its place."""

import os
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.table import Table

from trackssl.config import Nyuv2, Scenes, Voc
from trackssl.datasets.checksums import check_file
from trackssl.datasets.table import Entry, read_table
from trackssl.errors import InputError


def place_of(entry: Entry, voc: Voc, scenes: Scenes, nyuv2: Nyuv2) -> tuple[Path, Path | None]:
    """Where a run of these settings looks for a file, and what is made of it there, if anything.

    Files that no section of the config names belong where the command is typed.
    """
    if entry.name == "voc":
        devkit = Path(voc.devkit)
        return devkit.resolve().with_name(entry.file), devkit / f"VOC{entry.version}"
    if entry.name == "mit67":
        return Path(scenes.folder).resolve().with_name(entry.file), Path(scenes.folder)
    if entry.name == "nyuv2":
        return Path(nyuv2.splits if entry.file == "splits.mat" else nyuv2.mat), None
    if entry.name == "nyuv2_normals":
        folder = Path(nyuv2.normals or "resources/nyuv2/nyu_normals_gt")
        return folder.resolve().with_name(entry.file), folder
    if entry.name == "alexnet":
        return torch_cache() / entry.file, None
    return Path(entry.file), None


def torch_cache() -> Path:
    """Where PyTorch keeps weights that it downloads, as torch.hub says, but without loading it."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def state_of(entry: Entry, path: Path, made: Path | None, check: bool) -> str:
    """What is there of a file, in words; `check` compares its checksum, which takes a while."""
    if made is not None and made.is_dir():
        return f"extracted: {made}"
    if path.is_file():
        if entry.size not in (None, path.stat().st_size):
            return f"another file: {path}"
        if check and entry.checksum is not None:
            try:
                check_file(path, entry.checksum, entry.kind)
            except InputError:
                return f"another file: {path}"
            return f"right: {path}"
        return f"there: {path}"
    if path.with_name(f"{path.name}.part").is_file():
        return f"begun: {path}.part"
    return "no" if entry.addresses else f"no: put it at {path}"


class Listed(NamedTuple):
    """A file of the table, and what of it is in its place."""

    entry: Entry
    state: str


def listed(voc: Voc, scenes: Scenes, nyuv2: Nyuv2, check: bool = False) -> list[Listed]:
    """All files of the table; `check` compares their checksums, which reads every file."""
    return [
        Listed(entry, state_of(entry, *place_of(entry, voc, scenes, nyuv2), check))
        for entry in read_table()
    ]


def render(files: list[Listed]) -> Table:
    """A row a file of the table, and where it is."""
    drawn = Table(title="Files from elsewhere", box=box.SIMPLE)
    drawn.add_column("data", no_wrap=True)
    drawn.add_column("file", overflow="fold", ratio=1)
    drawn.add_column("MB", justify="right", no_wrap=True)
    drawn.add_column("checksum", no_wrap=True)
    drawn.add_column("in place", overflow="fold")
    for entry, state in files:
        drawn.add_row(
            f"{entry.name}\n{entry.version}",
            f"{entry.file}\n{entry.note} (licence: {entry.licence})",
            f"{entry.size / 1e6:,.1f}" if entry.size else "",
            entry.kind if entry.checksum else "none known",
            state,
        )
    return drawn
