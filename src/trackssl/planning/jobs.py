"""The jobs of a run from its config alone: for each rule of workflow/rules, what it reads.

A test holds the number of jobs of each rule against Snakemake's own dry run, so that a rule that is
added or changed there must be followed here.
"""

from collections.abc import Iterator
from typing import NamedTuple

from trackssl.config import Config


class Job(NamedTuple):
    """One job: its rule, and of the rule's wildcards those that it has.

    `method` is also a baseline, a normals method, or the table that is compared; `kind` is the
    state and layer of features.
    """

    rule: str
    method: str = ""
    network: str = ""
    seed: int = 0
    year: str = ""
    kind: str = ""
    split: str = ""
    benchmark: str = ""
    shard: int = 0


class Graph:
    """The jobs that a run's tables need, those that are needed first."""

    def __init__(self, run: Config) -> None:
        self.run = run
        self.voc, self.classified = run.voc_by_year, run.classified_year

    def jobs(self) -> list[Job]:
        """All jobs, each once and after those whose files it reads; `all` is the last."""
        done: dict[Job, None] = {}
        stack = [(Job("all"), self.needs(Job("all")))]
        begun = {Job("all")}
        while stack:
            job, rest = stack[-1]
            needed = next((other for other in rest if other not in begun), None)
            if needed is None:
                done[job] = None
                stack.pop()
            else:
                begun.add(needed)
                stack.append((needed, self.needs(needed)))
        return list(done)

    def needs(self, job: Job) -> Iterator[Job]:
        """The jobs that make what a job reads; a job may be named more than once."""
        yield from getattr(self, f"_{job.rule}")(job)

    def splits(self, year: str) -> tuple[str, str]:
        """The year's lists of images for training and for the test."""
        return self.voc[year].train_split, self.voc[year].test_split

    def fixed(self, section: str) -> dict[str, str]:
        """Rows of networks as they are: name, network."""
        return {self.run.fixed_name(name): name for name in self.run.benchmarked(section)}

    def _all(self, job: Job) -> Iterator[Job]:
        yield from self._report(job)
        yield Job("report")

    def _report(self, job: Job) -> Iterator[Job]:
        if self.run.explore.network:
            yield Job("explore")
        for name in self.run.result_tables:
            compared = Job("compare_methods", method=name)
            yield from self._compare_methods(compared)
            yield compared
        if not self.run.result_tables:
            for name, network in self.run.networks.items():
                if network.init == "pairs":
                    for seed in self.run.seeds:
                        yield Job("pretrain", network=name, seed=seed)

    def _compare_methods(self, job: Job) -> Iterator[Job]:
        if job.method.startswith("voc_map"):
            yield Job("voc_map", year=job.method.removeprefix("voc_map"))
        else:
            yield Job(job.method)

    def _start_run(self, job: Job) -> Iterator[Job]:
        yield from ()

    def _fetch_videos(self, job: Job) -> Iterator[Job]:
        yield Job("start_run")

    def _mine_patches(self, job: Job) -> Iterator[Job]:
        yield Job("fetch_videos", shard=job.shard)

    def _track_patches(self, job: Job) -> Iterator[Job]:
        yield Job("mine_patches", shard=job.shard)

    def _merge_pairs(self, job: Job) -> Iterator[Job]:
        for shard in range(self.run.videos.shards):
            yield Job("track_patches", shard=shard)

    def _pretrain(self, job: Job) -> Iterator[Job]:
        yield Job("merge_pairs")

    def _hold_out_pairs(self, job: Job) -> Iterator[Job]:
        yield from self._merge_pairs(job)

    def _explore(self, job: Job) -> Iterator[Job]:
        yield Job("merge_pairs")
        if self.run.explore.held_out_share:
            yield Job("hold_out_pairs")
        network = self.run.explore.network or ""
        yield Job("pretrain", network=network, seed=self.run.seeds[0])

    def _readapt(self, job: Job) -> Iterator[Job]:
        yield Job("merge_pairs")
        before = self.run.networks[job.network].after or ""
        yield Job("finetune_detector", network=before, seed=job.seed, year=job.year)

    def _import_weights(self, job: Job) -> Iterator[Job]:
        yield Job("start_run")

    def _start(self, network: str, seed: int, year: str = "") -> Iterator[Job]:
        """What makes the weights that a network starts from, if any job does."""
        init = self.run.networks[network].init
        if init == "pairs":
            yield Job("pretrain", network=network, seed=seed)
        elif init == "readapted":
            yield Job("readapt", network=network, seed=seed, year=year)
        elif init == "caffemodel":
            yield Job("import_weights", network=network)

    def _fetch_voc(self, job: Job) -> Iterator[Job]:
        yield Job("start_run")

    def _propose_windows(self, job: Job) -> Iterator[Job]:
        yield Job("fetch_voc", year=job.year)

    def _finetune_detector(self, job: Job) -> Iterator[Job]:
        yield Job("propose_windows", year=job.year, split=self.splits(job.year)[0])
        yield from self._start(job.network, job.seed, job.year)

    def _extract_features(self, job: Job) -> Iterator[Job]:
        yield Job("propose_windows", year=job.year, split=job.split)
        if job.kind.startswith("finetuned"):
            yield Job("finetune_detector", network=job.network, seed=job.seed, year=job.year)
        else:
            yield from self._start(job.network, job.seed, job.year)

    def _member_features(self, job: Job, split: str) -> Iterator[Job]:
        state = "finetuned" if self.run.methods[job.method].finetuned else "as_is"
        kind = f"{state}_{self.run.layer(job.method)}"
        for network, seed in self.run.members(job.method, job.seed):
            yield Job("extract_features", "", network, seed, job.year, kind, split)

    def _train_svms(self, job: Job) -> Iterator[Job]:
        yield from self._member_features(job, self.splits(job.year)[0])

    def _detect(self, job: Job) -> Iterator[Job]:
        yield Job("train_svms", method=job.method, seed=job.seed, year=job.year)
        yield from self._member_features(job, self.splits(job.year)[1])

    def _score_detections(self, job: Job) -> Iterator[Job]:
        yield Job("detect", method=job.method, seed=job.seed, year=job.year)

    def _voc_map(self, job: Job) -> Iterator[Job]:
        for method in self.run.methods:
            for seed in self.run.seeds:
                yield Job("score_detections", method=method, seed=seed, year=job.year)

    def _retrieve(self, job: Job) -> Iterator[Job]:
        network = self.fixed("retrieval")[job.method]
        kind = f"as_is_{self.run.retrieval.layer}"
        for split in self.splits(""):
            yield Job("extract_features", network=network, seed=job.seed, kind=kind, split=split)

    def _voc_retrieval(self, job: Job) -> Iterator[Job]:
        for method in self.fixed("retrieval"):
            for seed in self.run.seeds:
                yield Job("retrieve", method=method, seed=seed)

    def _list_voc_images(self, job: Job) -> Iterator[Job]:
        yield Job("fetch_voc", year=self.classified)

    def _extract_image_features(self, job: Job) -> Iterator[Job]:
        yield Job("fetch_mit67" if job.benchmark == "scenes" else "list_voc_images")
        yield from self._start(job.network, job.seed)

    def _image_features(
        self, benchmark: str, kind: str, splits: tuple[str, str], job: Job
    ) -> list[Job]:
        return [
            Job("extract_image_features", "", job.network, job.seed, "", kind, split, benchmark)
            for split in splits
        ]

    def _classify_features(self, job: Job) -> Iterator[Job]:
        network = self.fixed("classification")[job.method]
        kind = f"as_is_{self.run.classification.layer}"
        of_network = job._replace(network=network)
        yield from self._image_features(
            "classification", kind, self.splits(self.classified), of_network
        )

    def _finetune_classifier(self, job: Job) -> Iterator[Job]:
        yield Job("list_voc_images")
        yield from self._start(job.network, job.seed)

    def _voc07_classification(self, job: Job) -> Iterator[Job]:
        for seed in self.run.seeds:
            for method in self.fixed("classification"):
                yield Job("classify_features", method=method, seed=seed)
            for network in self.run.benchmarked("classification"):
                yield Job("finetune_classifier", network=network, seed=seed)

    def _fetch_mit67(self, job: Job) -> Iterator[Job]:
        yield Job("start_run")

    def _classify_scenes(self, job: Job) -> Iterator[Job]:
        yield from self._image_features("scenes", "as_is_pool5", ("train", "test"), job)

    def _finetune_scenes(self, job: Job) -> Iterator[Job]:
        yield Job("fetch_mit67")
        yield from self._start(job.network, job.seed)

    def _scenes_baseline(self, job: Job) -> Iterator[Job]:
        yield Job("fetch_mit67")

    def _mit67_accuracy(self, job: Job) -> Iterator[Job]:
        for seed in self.run.seeds:
            for network in self.run.benchmarked("scenes"):
                yield Job("classify_scenes", network=network, seed=seed)
                yield Job("finetune_scenes", network=network, seed=seed)
            for baseline in self.run.scenes.baselines:
                yield Job("scenes_baseline", method=baseline, seed=seed)

    def _fetch_nyuv2(self, job: Job) -> Iterator[Job]:
        yield Job("start_run")

    def _prepare_normals(self, job: Job) -> Iterator[Job]:
        yield Job("fetch_nyuv2")

    def _train_normals(self, job: Job) -> Iterator[Job]:
        yield Job("prepare_normals")
        yield from self._start(job.network, job.seed)

    def _predict_normals(self, job: Job) -> Iterator[Job]:
        if job.method == "mean_normal":
            yield Job("prepare_normals")
        else:
            yield Job("train_normals", network=job.method, seed=job.seed)

    def _score_normals(self, job: Job) -> Iterator[Job]:
        yield Job("predict_normals", method=job.method, seed=job.seed)

    def _nyu_normals(self, job: Job) -> Iterator[Job]:
        yield Job("score_normals", method="mean_normal", seed=self.run.seeds[0])
        for network in self.run.benchmarked("normals"):
            for seed in self.run.seeds:
                yield Job("score_normals", method=network, seed=seed)
