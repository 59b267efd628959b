"""Source `http`: a list of addresses of video files, fetched without asking what page they are."""

from pathlib import Path

from trackssl.config import Videos
from trackssl.videos.lists import read_list
from trackssl.videos.sources import Item
from trackssl.videos.transfer import download
from trackssl.videos.web import Visit


def items(settings: Videos) -> list[Item]:
    """The list's videos in its order, each once. Raises InputError as `read_list`."""
    return read_list(Path(settings.list or ""), addresses_only=True)


def obtain(item: Item, settings: Videos, folder: Path, visit: Visit) -> Path:
    """Fetch the file, or go on with the part in `folder`. Raises UnavailableError."""
    return download(visit, item.source, folder)
