"""The whole plan: costs by rule, the disk's peak, and what this machine or these videos lack."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trackssl.config import Config
from trackssl.planning.costing import Cost
from trackssl.planning.costs import Costs
from trackssl.planning.figures import Figures, read_figures
from trackssl.planning.jobs import Graph, Job
from trackssl.planning.material import Footage, Guess, footage
from trackssl.planning.video_costs import wanted_pairs

# Rules by stage, in the order of the data; a rule that stands nowhere here is of the last stage.
STAGES = {
    "videos": ("start_run", "fetch_videos"),
    "pairs": ("mine_patches", "track_patches", "merge_pairs", "hold_out_pairs"),
    "pre-training": ("import_weights", "pretrain", "readapt", "explore"),
    "detection": (
        "fetch_voc",
        "propose_windows",
        "finetune_detector",
        "extract_features",
        "train_svms",
        "detect",
        "score_detections",
    ),
    "retrieval": ("retrieve",),
    "whole images": ("extract_image_features",),
    "classification": ("list_voc_images", "classify_features", "finetune_classifier"),
    "scenes": ("fetch_mit67", "classify_scenes", "finetune_scenes", "scenes_baseline"),
    "normals": (
        "fetch_nyuv2",
        "prepare_normals",
        "train_normals",
        "predict_normals",
        "score_normals",
    ),
    "tables": (),
}
# Their outputs are temp() in the rules: they go when the last job that reads them is done.
TEMPORARY = ("extract_features", "extract_image_features")


@dataclass
class Row:
    """The cost of all jobs of a rule.

    `bytes_temporary` counts outputs that are deleted later as if all were there at once, and of
    work files those of one job. `figures` are the keys that it was computed from.
    """

    stage: str
    rule: str
    jobs: int = 0
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    bytes_kept: float = 0.0
    bytes_temporary: float = 0.0
    figures: set[str] = field(default_factory=set)

    def add(self, cost: Cost, figures: set[str]) -> None:
        """One more job."""
        self.jobs += 1
        self.core_hours += cost.core_s / 3600
        self.gpu_hours += cost.gpu_s / 3600
        self.bytes_kept += cost.kept
        if self.rule in TEMPORARY:
            self.bytes_temporary += cost.temporary
        else:
            self.bytes_temporary = max(self.bytes_temporary, cost.temporary)
        self.figures |= figures


@dataclass(frozen=True)
class Plan:
    """What a run will cost; disk in bytes.

    The peak is between that of jobs that run one after another and that of all temporary files
    lying there at once.
    """

    run: Config
    found: Footage
    rows: list[Row]
    figures: Figures
    peak_one_by_one: float
    peak_at_most: float
    set_bytes: dict[str, float]  # of the sets that are trained on, what their pairs take on disk

    @property
    def jobs(self) -> int:
        """All jobs, Snakemake's own `all` among them."""
        return sum(row.jobs for row in self.rows)

    @property
    def core_hours(self) -> float:
        """Work of processor cores."""
        return sum(row.core_hours for row in self.rows)

    @property
    def gpu_hours(self) -> float:
        """Hours of GPUs held by a job."""
        return sum(row.gpu_hours for row in self.rows)

    @property
    def bytes_kept(self) -> float:
        """What lies there at the end."""
        return sum(row.bytes_kept for row in self.rows)


def make_plan(
    run: Config,
    guess: Guess | None = None,
    manifests: Sequence[Path] = (),
    root: Path = Path(),
    found: Footage | None = None,
) -> Plan:
    """The plan of a run in the folder `root`, of videos that are guessed or, by `found`, known.

    Raises InputError where the number of videos is open.
    """
    figures = read_figures()
    graph = Graph(run)
    found = found or footage(run, guess or Guess(), manifests, figures, root)
    costs = Costs(graph, found, figures)
    stages = {rule: stage for stage, rules in STAGES.items() for rule in rules}
    order = [rule for rules in STAGES.values() for rule in rules]
    rows: dict[str, Row] = {}
    jobs, each = graph.jobs(), {}
    for job in jobs:
        with figures.noting() as used:
            each[job] = costs.of(job)
        row = rows.setdefault(job.rule, Row(stages.get(job.rule, "tables"), job.rule))
        row.add(each[job], used)
    sorted_rows = sorted(
        rows.values(), key=lambda row: order.index(row.rule) if row.rule in order else len(order)
    )
    one_by_one = _peak(graph, jobs, each)
    work = max((row.bytes_temporary for row in sorted_rows if row.rule not in TEMPORARY), default=0)
    outputs = sum(row.bytes_temporary for row in sorted_rows if row.rule in TEMPORARY)
    at_most = sum(row.bytes_kept for row in sorted_rows) + outputs + work
    return Plan(run, found, sorted_rows, figures, one_by_one, at_most, _sets(run, jobs, costs))


def _sets(run: Config, jobs: Sequence[Job], costs: Costs) -> dict[str, float]:
    names = {run.networks[job.network].set for job in jobs if job.rule == "pretrain"}
    return {name: wanted_pairs(run, name) * costs.pair_bytes() for name in names if name}


def _peak(graph: Graph, jobs: Sequence[Job], costs: dict[Job, Cost]) -> float:
    """The most bytes on disk at a time when the jobs run one after another in this order."""
    readers = Counter(needed for job in jobs for needed in set(graph.needs(job)))
    left: dict[Job, int] = defaultdict(int, readers)
    lying = peak = 0.0
    for job in jobs:
        cost = costs[job]
        lying += cost.kept
        peak = max(peak, lying + cost.temporary)
        if job.rule in TEMPORARY:
            lying += cost.temporary
        for needed in set(graph.needs(job)):
            left[needed] -= 1
            if needed.rule in TEMPORARY and not left[needed]:
                lying -= costs[needed].temporary
    return peak
