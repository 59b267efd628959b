"""Every benchmark for one weights file: the config of a run with rows of it and of no other."""

from pathlib import Path
from typing import Any

from trackssl.config import Config, Network, parse
from trackssl.errors import InputError
from trackssl.networks import DETECTOR, RANKING, load_weights, network_settings

CONTROL = "scratch"


def benchmark_config(base: dict[str, Any], weights: Path, name: str) -> dict[str, Any]:
    """The values of `base`, a config, with two networks: `name` from the file, and `scratch`.

    Both have the file's architecture; each is measured by every table of `base`. Raises InputError
    for a file that is not a ranking or detector network, or a name that does not serve.
    """
    if name == CONTROL:
        raise InputError(f"the name '{name}' is that of the control; give another --name.")
    network: Network = network_settings(weights, load_weights(weights, RANKING, DETECTOR)[1])
    values = {key: value for key, value in base.items() if key not in ("comparisons", "world")}
    networks = {
        CONTROL: {"init": "random"},
        name: {"init": "weights", "path": str(weights.resolve())},
    }
    fixed = {f"{key}_pool5": {"networks": [key], "finetuned": False} for key in networks}
    values |= {
        "name": name,
        "network": network.model_dump(mode="json"),
        "networks": networks,
        "methods": {key: {"networks": [key]} for key in networks} | fixed,
        "comparisons": [
            [name, CONTROL],
            [f"{name}_pool5", f"{CONTROL}_pool5"],
            [name, "random"],
            [f"{name}_finetuned", f"{CONTROL}_finetuned"],
        ],
    }
    parse(Config, values, f"the config of {weights}")
    return values
