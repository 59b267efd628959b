# The typed config of this run, and the few lookups that the rules share.
import json
import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError

import trackssl.config
from trackssl.errors import InputError

try:
    RUN = trackssl.config.parse(trackssl.config.Config, config, "config")
except InputError as error:
    raise WorkflowError(str(error)) from None

# A results folder belongs to one run: another name in it stops here, before any job.
RUN_FILE = Path("results/run.json")
if (
    RUN_FILE.exists()
    and (found := json.loads(RUN_FILE.read_text())["name"]) != RUN.name
):
    raise WorkflowError(
        f"results/ here belongs to the run '{found}', but this config is of the run '{RUN.name}'; "
        f"give it a folder of its own: snakemake --directory runs/{RUN.name} --configfile ..."
    )

# A job is the command itself (exec), not a shell around it, and ends when Snakemake does: one that
# outlived a killed Snakemake would still write when it is started again.
shell.prefix("export TRACKSSL_END_WITH_PARENT=1; exec ")

CONDA = "../../envs/trackssl.yaml"
DEVICES = max(1, RUN.gpus)  # processes of a training, each with a device
SHARDS = [f"{shard:04d}" for shard in range(RUN.videos.shards)]


def settings(section):
    """One section of the config as JSON: the rule that takes it reruns when it changes, and only it."""
    return getattr(RUN, section).model_dump_json()


def modules(*names):
    """Modules that a cheap rule lists as input, so that an edit of them makes its table anew."""
    return [str(Path(workflow.basedir) / "src" / "trackssl" / name) for name in names]


def any_of(names):
    """Wildcard constraint: one of the names; of none, one that nothing matches."""
    return "|".join(names) or "(?!)"


def networks_of(*inits):
    """Names of the networks that start in one of these ways."""
    return [name for name, network in RUN.networks.items() if network.init in inits]


def members(wildcards):
    """(network, seed) of each member of a method's row."""
    return RUN.members(wildcards.method, int(wildcards.seed))


def member_features(split):
    """Input function: the features of a method's members on one split."""
    return lambda wildcards: [
        f"results/detection/features/{network}/seed{seed}/{split}.npy"
        for network, seed in members(wildcards)
    ]


def pretraining_section(wildcards):
    """The ranking settings with this network's set alone, so that another's edit reruns nothing."""
    name = RUN.pair_set(wildcards.network)
    return RUN.pretraining.model_copy(
        update={"sets": {name: RUN.pretraining.sets[name]}}
    )


def learnt_by(wildcards):
    """All settings that a ranking run's result depends on; not where pairs are staged, say."""
    section = pretraining_section(wildcards)
    learnt = section.model_dump(mode="json", exclude=trackssl.config.UNTOLD)
    order = RUN.data.model_dump(include=trackssl.config.SHUFFLING)
    return json.dumps(learnt | order)


def initial_weights(wildcards):
    """The file that a network's convolutions come from; none for a random start."""
    network = RUN.networks[wildcards.network]
    if network.init in ("pairs", "readapted"):
        return f"results/pretraining/{wildcards.network}/seed{wildcards.seed}/weights.safetensors"
    if network.init == "caffemodel":  # no draw is in it: one file for every seed
        return f"results/pretraining/{wildcards.network}/weights.safetensors"
    return network.path or []


def import_options(wildcards):
    """The source and the options of `trackssl import-weights` that say where a file is from."""
    network = RUN.networks[wildcards.network]
    options = {
        "--sha256": network.sha256,
        "--suffix": network.suffix,
        "--pairs": network.pairs,
    }
    given = [f"{k}={v}" for k, v in options.items() if v is not None]
    return shlex.join([network.path or network.address, *given])


def initial_options(wildcards, input):
    """The options of `trackssl finetune` that say where the convolutions come from."""
    init = RUN.networks[wildcards.network].init
    if input.weights:
        return f"--init weights --weights {shlex.quote(str(input.weights))}"
    return f"--init {init}"


def detector_weights(network, seed):
    """A fine-tuned network's file."""
    return f"results/detection/networks/{network}/seed{seed}/weights.safetensors"


def voc_rows():
    """What `trackssl voc-map` needs to know of each row: method, seed, its AP and its networks."""
    return [
        {
            "method": method,
            "seed": seed,
            "ap": f"results/detection/methods/{method}/seed{seed}/ap.csv",
            "networks": [
                detector_weights(network, member)
                for network, member in RUN.members(method, seed)
            ],
        }
        for method in RUN.methods
        for seed in RUN.seeds
    ]


def readapted_weights(wildcards):
    """The fine-tuned network that a readaptation starts from."""
    return detector_weights(RUN.networks[wildcards.network].after, wildcards.seed)


wildcard_constraints:
    shard=r"\d+",
    seed=r"\d+",
    network=any_of(RUN.networks),
    method=any_of(RUN.methods),
    split=any_of(dict.fromkeys([RUN.voc.train_split, RUN.voc.test_split])),
