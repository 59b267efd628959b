# The typed config of this run, and the few lookups that the rules share.
import json
import shlex
from pathlib import Path
from typing import NamedTuple

from snakemake.exceptions import WorkflowError

import trackssl.config
from trackssl.errors import InputError
from trackssl.files import fingerprint

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
# Each leaves a record of what it read and made, see `trackssl provenance`.
shell.prefix(
    "export TRACKSSL_END_WITH_PARENT=1 TRACKSSL_PROVENANCE=provenance"
    f" TRACKSSL_RUN={RUN.name}"
    f" TRACKSSL_CONFIG_HASH={fingerprint(RUN.model_dump(mode='json', exclude={'release'}))}"
    f" TRACKSSL_LOCK={shlex.quote(str(Path(workflow.basedir) / 'envs/requirements.txt'))}; exec "
)

CONDA = "../../envs/trackssl.yaml"
IMAGE_NETWORK = RUN.image_network.model_dump_json()
DEVICES = max(1, RUN.gpus)  # processes of a training on a node, each with a device
# The list of labelled images of each benchmark on whole images.
IMAGE_INDEX = {
    "scenes": "resources/mit67/index.json",
    "classification": "resources/voc_images/index.json",
}
# What is made of the network that the config's `explore` names; see explore.smk.
EXPLORE_FILES = [
    f"results/explore/{name}"
    for name in (
        "neighbours.png",
        "neighbours.csv",
        "map.png",
        "map.csv",
        "partners.csv",
    )
]
EXPLORED = EXPLORE_FILES if RUN.explore.network else []
HELD_OUT = RUN.explore.held_out_share
TABLE_FILES = [
    f"results/{table}{what}.csv"
    for table in RUN.result_tables
    for what in ("", "_differences")
]
SHARDS = [f"{shard:04d}" for shard in range(RUN.videos.shards)]


# Pre-training on several nodes is one `srun` within the job, with a task for each device of each node.
# The SLURM plugin gives a job with the resource `mpi` all nodes and tasks, and leaves `srun` to the
# command. It refuses one task a node as `tasks_per_node`, but SLURM spreads `tasks` evenly only where
# they are as many as the nodes; without the zero it would ask for tasks on each GPU. `gres` counts a
# node's GPUs, `gpu` would count the job's.
PRETRAINING_THREADS = RUN.torch_threads * (DEVICES if RUN.nodes == 1 else 1)
PRETRAINING_PLACE = {"nodes": RUN.nodes}
LAUNCHER = ""
if RUN.nodes == 1:
    PRETRAINING_PLACE["gpu"] = RUN.gpus
else:
    PRETRAINING_PLACE |= {"mpi": "srun", "tasks_per_gpu": 0}
    PRETRAINING_PLACE |= (
        {"tasks_per_node": DEVICES} if DEVICES > 1 else {"tasks": RUN.nodes}
    )
    LAUNCHER = (
        f"srun --nodes={RUN.nodes} --ntasks={RUN.nodes * DEVICES} --ntasks-per-node={DEVICES}"
        f" --cpus-per-task={RUN.torch_threads} --kill-on-bad-exit=1 "
    )
    if RUN.gpus:
        PRETRAINING_PLACE["gres"] = f"gpu:{RUN.gpus}"
        LAUNCHER += f"--gpus-per-node={RUN.gpus} "


def growing(mb):
    """Memory in MB that a job asks for: as much again at each retry, at most four times."""
    return lambda wildcards, attempt: mb * min(attempt, 4)


def settings(section):
    """One section of the config as JSON: the rule that takes it reruns when it changes, and only it."""
    return getattr(RUN, section).model_dump_json()


def modules(*names):
    """Modules that a cheap rule lists as input, so that an edit of them makes its table anew; they
    lie in no storage that a profile may name."""
    package = Path(workflow.basedir) / "src" / "trackssl"
    return [local(str(package / name)) for name in names]


def folder_modules(folder):
    """All files of a folder of the package, for the same use."""
    place = Path(workflow.basedir) / "src" / "trackssl" / folder
    files = [path for path in place.rglob("*") if path.is_file()]
    paths = sorted(str(path) for path in files if "__pycache__" not in path.parts)
    return [local(path) for path in paths]


def any_of(names):
    """Wildcard constraint: one of the names; of none, one that nothing matches."""
    return "|".join(names) or "(?!)"


class Wildcards(NamedTuple):
    """A network's row, as the input functions get it from Snakemake."""

    network: str
    seed: int
    year: str = ""


# Detection is measured on one year's data, and on a second one's where the config names it: its
# files lie beside the first one's, with the year at their folders' ends.
VOC = RUN.voc_by_year


def year_of(wildcards):
    """The ending of the year's folders; rules outside of detection know the first one only."""
    return getattr(wildcards, "year", "")


def voc(wildcards):
    """The VOC settings of a job."""
    return VOC[year_of(wildcards)]


def split_proposals(which):
    """Input function: the windows of the year's train_split or test_split."""

    def path(wildcards):
        split = getattr(voc(wildcards), which)
        return f"results/detection{wildcards.year}/proposals/{split}.arrow"

    return path


def networks_of(*inits):
    """Names of the networks that start in one of these ways."""
    return [name for name, network in RUN.networks.items() if network.init in inits]


def members(wildcards):
    """(network, seed) of each member of a method's row."""
    return RUN.members(wildcards.method, int(wildcards.seed))


def own_boxes(wildcards):
    """The file of boxes that takes the place of selective search; none otherwise."""
    file = RUN.proposals.file
    return file.replace("{split}", wildcards.split) if file else []


def member_features(which):
    """Input function: the features of a method's members on the train_split or test_split."""

    def paths(wildcards):
        state = "finetuned" if RUN.methods[wildcards.method].finetuned else "as_is"
        kind = f"{state}_{RUN.layer(wildcards.method)}"
        split = getattr(voc(wildcards), which)
        folder = f"results/detection{wildcards.year}/features"
        return [
            f"{folder}/{network}/seed{seed}/{kind}/{split}.npy"
            for network, seed in members(wildcards)
        ]

    return paths


def feature_weights(wildcards):
    """The file whose features are wanted: the fine-tuned network's, or what it would start from."""
    if wildcards.state == "finetuned":
        return detector_weights(wildcards)
    return initial_weights(wildcards)


def feature_options(wildcards, input):
    """The options of `trackssl extract-features` that say which network is meant."""
    if wildcards.state == "finetuned":
        return f"--weights {shlex.quote(str(input.weights))}"
    context = RUN.finetuning.context_px
    return f"{as_is_options(wildcards, input)} --context-px {context}"


def as_is_options(wildcards, input):
    """The same options, of a network without fine-tuning."""
    start = start_options(wildcards, input)
    return (
        f"{start} --network {shlex.quote(settings('network'))} --seed {wildcards.seed}"
    )


def whole_image_options(wildcards, input):
    """The same options, where the network sees whole images."""
    start = start_options(wildcards, input)
    return f"{start} --network {shlex.quote(IMAGE_NETWORK)} --seed {wildcards.seed}"


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
    of_one_seed = f"{wildcards.network}/seed{wildcards.seed}/weights.safetensors"
    if network.init == "pairs":
        return f"results/pretraining/{of_one_seed}"
    if (
        network.init == "readapted"
    ):  # from a network that was fine-tuned on the same year
        return f"results/pretraining{year_of(wildcards)}/{of_one_seed}"
    if network.init == "caffemodel":  # no draw is in it: one file for every seed
        return f"results/pretraining/{wildcards.network}/weights.safetensors"
    return network.path or []


def explored_weights():
    """The network that is looked at; none where the config names none."""
    if not RUN.explore.network:
        return []
    return initial_weights(Wildcards(RUN.explore.network, RUN.seeds[0]))


def unlabelled_weights():
    """What a run without tables learned: its networks of the ranking task, for the report."""
    if RUN.result_tables:
        return []
    return [
        f"results/pretraining/{network}/seed{seed}/weights.safetensors"
        for network in networks_of("pairs")
        for seed in RUN.seeds
    ]


def import_options(wildcards):
    """The source and the options of `trackssl import-weights` that say where a file is from."""
    network = RUN.networks[wildcards.network]
    options = {
        "--sha256": network.sha256,
        "--suffix": network.suffix,
        "--pairs": network.pairs,
    }
    given = [f"{k}={v}" for k, v in options.items() if v is not None]
    if network.carry == "convolutions":
        given.append("--convolutions-only")
    return shlex.join([network.path or network.address, *given])


def start_options(wildcards, input):
    """The options that say which network training starts from."""
    init = RUN.networks[wildcards.network].init
    if input.weights:
        return f"--init weights --weights {shlex.quote(str(input.weights))}"
    return f"--init {init}"


def initial_options(wildcards, input):
    """The options of `trackssl finetune` that say what is carried over, and from where."""
    carry = RUN.networks[wildcards.network].carry
    more = f" --carry {carry}" if carry != "convolutions" else ""
    return start_options(wildcards, input) + more


def detector_weights(wildcards):
    """A fine-tuned network's file."""
    folder = f"results/detection{year_of(wildcards)}/networks/{wildcards.network}"
    return f"{folder}/seed{wildcards.seed}/weights.safetensors"


def row_weights(method, seed, year):
    """The files of a row's networks; a random or torchvision's network as it is has none."""
    members = [Wildcards(*member, year) for member in RUN.members(method, seed)]
    if RUN.methods[method].finetuned:
        return [detector_weights(member) for member in members]
    return [path for member in members if (path := initial_weights(member))]


def fixed_weights(network, seed):
    """The files of such a row: one or none."""
    path = initial_weights(Wildcards(network, seed))
    return [path] if path else []


def feature_words(method):
    """The features of a row, for its protocol; none for what is usual."""
    if not RUN.methods[method].finetuned:
        return f"{RUN.layer(method)} without fine-tuning"
    return RUN.layer(method) if RUN.methods[method].layer else ""


def voc_rows(year):
    """What `trackssl voc-map` needs to know of each row: method, seed, its AP and its networks."""
    return [
        {
            "method": method,
            "seed": seed,
            "ap": f"results/detection{year}/methods/{method}/seed{seed}/ap.csv",
            "networks": row_weights(method, seed, year),
            "members": len(RUN.methods[method].networks),
            "features": feature_words(method),
        }
        for method in RUN.methods
        for seed in RUN.seeds
    ]


def readapted_weights(wildcards):
    """The fine-tuned network that a readaptation starts from."""
    before = RUN.networks[wildcards.network].after
    return detector_weights(Wildcards(before, wildcards.seed, wildcards.year))


wildcard_constraints:
    shard=r"\d+",
    seed=r"\d+",
    network=any_of(RUN.networks),
    method=any_of(RUN.methods),
    normals_method=any_of(["mean_normal", *RUN.benchmarked("normals")]),
    state="finetuned|as_is",
    layer="pool5|fc6|fc7",
    split=r"\w+",
    year="(?:" + "|".join(VOC) + ")",
