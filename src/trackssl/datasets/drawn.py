"""Data sets that the built-in world draws: drawn once, and never over another's folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trackssl import miniworld
from trackssl.errors import InputError
from trackssl.files import temporary_folder, write_json

_MARK = "miniworld.json"


def draw_once(
    folder: Path, drawing: dict[str, Any], render: Callable[..., None], remedy: str
) -> None:
    """`render(folder, **drawing)`, unless the same drawing of the same world stands there.

    The folder appears whole. Raises InputError, which ends with the `remedy`, rather than replace
    one that the world did not draw.
    """
    mark = folder / _MARK
    world = drawing | {"world": miniworld.VERSION}
    if folder.exists() and not mark.is_file():
        raise InputError(f"{folder}: was not drawn by the miniworld and is left alone; {remedy}.")
    if mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) == world:
        return
    with temporary_folder(folder) as part:
        render(part, **drawing)
        write_json(part / _MARK, world)
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
