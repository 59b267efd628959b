"""Weights as safetensors files: named tensors and a metadata of strings, nothing that executes."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from trackssl.config import Network, parse
from trackssl.errors import InputError
from trackssl.files import whole_file
from trackssl.networks.heads import Trunk
from trackssl.provenance import signature

RANKING = "trackssl.ranking"
DETECTOR = "trackssl.detector"
Metadata = dict[str, str]


def save_weights(path: Path, network: nn.Module, metadata: Mapping[str, str]) -> None:
    """Write a network's tensors and metadata (strings, with `format`), whole or not at all.

    Equal contents give equal bytes: safetensors itself writes metadata in an order that changes
    from call to call, so the header is put together here. In a run of the rules `made_by` says
    which run and commit it was (provenance.signature).
    """
    if made_by := signature():
        metadata = {**metadata, "made_by": made_by}
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    content = memoryview(save(tensors))
    length = int.from_bytes(content[:8], "little")
    header = {
        "__metadata__": dict(sorted(metadata.items())),
        **json.loads(bytes(content[8 : 8 + length])),
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8 bytes
    with whole_file(path) as part, part.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(content[8 + length :])


def load_weights(path: Path, *formats: str) -> tuple[dict[str, Tensor], Metadata]:
    """Read (tensors by name, metadata) of a file whose metadata says one of `formats`; any if none.

    Raises InputError if the file is absent, is no whole safetensors file or has another format.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such weights file; check the path.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: this is not a whole safetensors file ({error}); make or copy it again."
        ) from None
    if formats and metadata.get("format") not in formats:
        raise InputError(
            f"{path}: its format is {metadata.get('format', 'not stated')!r}, but "
            f"{' or '.join(formats)} is needed; give weights that trackssl wrote for this use."
        )
    return tensors, metadata


def load_network(network: nn.Module, path: Path, *formats: str) -> Metadata:
    """Fill a network from a file -> metadata. Raises InputError if the tensors do not fit."""
    return _load(network, path, list(network.state_dict()), formats)


def load_convolutions(
    network: Trunk,
    path: Path,
    formats: tuple[str, ...] = (RANKING, DETECTOR),
    layers: Collection[str] = (),
) -> Metadata:
    """Carry over the trunk of a ranking or detector file -> metadata; the rest stays as it is.

    That is conv1 to conv5 of AlexNet; of a ResNet all up to pool5, batch norm's statistics too; and
    `layers` of the head, such as fc6. Raises InputError if the file lacks any or was trained with
    another backbone or width.
    """
    head = [name for name in network.state_dict() if name.split(".")[0] in layers]
    return _load(network, path, network.trunk_names() + head, formats)


def _load(network: nn.Module, path: Path, names: list[str], formats: tuple[str, ...]) -> Metadata:
    tensors, metadata = load_weights(path, *formats)
    if isinstance(network, Trunk) and "settings" in metadata:
        backbone = network_settings(path, metadata).backbone
        if backbone != network.backbone:
            raise InputError(
                f"{path}: its backbone is {backbone}, but the network's is {network.backbone}; "
                "give weights of the same network.backbone."
            )
    wanted = network.state_dict()
    if missing := [name for name in names if name not in tensors]:
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise InputError(
            f"{path}: the tensors {', '.join(missing[:10])}{more} are missing; give a file of this "
            "network."
        )
    for name in names:
        if tensors[name].shape != wanted[name].shape:
            raise InputError(
                f"{path}: {name} has the shape {tuple(tensors[name].shape)}, but the network's is "
                f"{tuple(wanted[name].shape)}; give weights of the same network.width and input_px."
            )
    network.load_state_dict({name: tensors[name] for name in names}, strict=False)
    return metadata


def network_settings(path: Path, metadata: Mapping[str, str]) -> Network:
    """Backbone, width and input size of the network that a file's metadata is of; files of before
    there were others are AlexNet's. Raises InputError.
    """
    with described(path):
        return parse(Network, json.loads(metadata["settings"])["network"], str(path))


@contextmanager
def described(path: Path) -> Iterator[None]:
    """Read what a file's metadata must say. Raises InputError where an entry is not there."""
    try:
        yield
    except (KeyError, TypeError, json.JSONDecodeError):
        raise InputError(
            f"{path}: its metadata does not say which network it is of (it does not say the "
            "network's width and input size, or a detector's classes); give weights that trackssl "
            "wrote."
        ) from None
