"""What a job of each rule costs: core-seconds, GPU-seconds, bytes that stay and bytes that go."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from trackssl.config import Config
from trackssl.planning import layers
from trackssl.planning.figures import Figures
from trackssl.planning.jobs import Graph, Job
from trackssl.planning.material import Footage, Images
from trackssl.planning.speed import Speed, Work
from trackssl.pretraining.schedule import pretraining_schedule, readaptation_schedule

_FLOAT = 4  # bytes
_HALF = 2
_FULL_DIM = 4096  # of the features whose SVMs were measured
_VALID_PX = 427 * 561  # NYU Depth v2's valid crop


@dataclass(frozen=True)
class Cost:
    """Of a job. `temporary` bytes go when the jobs that read them are done, or with its own end."""

    core_s: float = 0.0
    gpu_s: float = 0.0
    kept: float = 0.0
    temporary: float = 0.0


class Costs:
    """The costs of a run's jobs."""

    def __init__(self, graph: Graph, found: Footage, figures: Figures) -> None:
        self.graph, self.run, self.figures = graph, graph.run, figures
        self._found = found
        self.images = Images(self.run, figures)
        self.speed = Speed(self.run, figures)
        self.drawn = "drawn_" if self.run.videos.source == "miniworld" else ""

    @property
    def found(self) -> Footage:
        """The videos; whoever asks has used the figures that they were guessed by."""
        self.figures.used |= self._found.figures
        return self._found

    def of(self, job: Job) -> Cost:
        """What a job costs; a rule without an entry is a short command that reads small tables."""
        known: Callable[[Job], Cost] | None = getattr(self, f"_{job.rule}", None)
        return known(job) if known else self._command()

    def _command(self, core_s: float = 0.0, kept: float = 0.0, temporary: float = 0.0) -> Cost:
        start = self.figures["command_s"]
        return Cost(start + core_s, 0.0, self.figures["job_bytes"] + kept, temporary)

    def _learning(
        self, *work: Work, core_s: float = 0.0, kept: float = 0.0, temporary: float = 0.0
    ) -> Cost:
        """A command that loads PyTorch."""
        core_s += self.figures["torch_command_s"] + sum(part.core_s for part in work)
        gpu_s = sum(part.gpu_s for part in work)
        return Cost(core_s, gpu_s, self.figures["job_bytes"] + kept, temporary)

    def _numbers(self, core_s: float, kept: float = 0.0) -> Cost:
        """A command that loads numerical libraries, but not PyTorch."""
        return self._command(core_s + self.figures["numpy_command_s"], kept=kept)

    # Videos and pairs, a job a shard.

    def _share(self, whole: float) -> float:
        return whole / self.run.videos.shards

    def _all(self, job: Job) -> Cost:
        return Cost()

    def _fetch_videos(self, job: Job) -> Cost:
        source = self.run.videos.source
        key = {"miniworld": "drawn_video_s", "folder": "look_up_video_s"}.get(source)
        core_s = self._share(self.found.listed) * self.figures[key or "fetch_video_s"]
        return self._command(
            core_s, kept=0 if source == "folder" else self._share(self.found.bytes)
        )

    def _decoding(self) -> float:
        share = self.figures["drawn_decode_share"] if self.drawn else 1.0
        return self._share(self.found.frames) * self.figures["decode_s"] * share

    def _mine_patches(self, job: Job) -> Cost:
        mining = self.run.mining
        area = mining.frame_height_px * mining.frame_width_px / (448 * 600)
        each = self.figures["try_frame_s"]
        if mining.flow == "farneback":
            each += self.figures["farneback_s"]
        tried = self._share(self.found.frames) / mining.start_every_frames
        windows = self._share(self.found.windows) * self.figures["window_bytes"]
        return self._command(self._decoding() + tried * each * area, kept=windows)

    def _track_patches(self, job: Job) -> Cost:
        mining = self.run.mining
        windows = self._share(self.found.windows)
        small = self.figures["track_small_share"]  # at 50 px; the time grows with the area
        area = (mining.patch_px**2 - 50**2) / (227**2 - 50**2)
        update = self.figures["track_227_s"] * max(small / 2, small + (1 - small) * area)
        core_s = self._decoding() + windows * mining.track_frames * update
        return self._command(core_s, kept=self._share(self.found.pairs) * self._pair_bytes())

    def _pair_bytes(self) -> float:
        large, small = self.figures["pair_227_bytes"], self.figures["pair_99_bytes"]
        slope = (large - small) / (227**2 - 99**2)
        return max(small / 4, small + slope * (self.run.mining.patch_px**2 - 99**2))

    def _merge_pairs(self, job: Job) -> Cost:
        pairs = self.found.pairs
        return self._command(
            pairs * self.figures["merge_pair_s"], kept=pairs * self.figures["set_row_bytes"]
        )

    # Pre-training.

    def _pretrain(self, job: Job) -> Cost:
        return self._ranking(job, readapted=False)

    def _readapt(self, job: Job) -> Cost:
        return self._ranking(job, readapted=True)

    def _ranking(self, job: Job, readapted: bool) -> Cost:
        settings, name = self.run.pretraining, self.run.pair_set(job.network) or ""
        size = wanted_pairs(self.run, name)
        pairs = max(1, min(size, math.floor(self.found.pairs)))
        schedule = pretraining_schedule(settings, name, pairs)
        if readapted:
            schedule = readaptation_schedule(schedule, self.run.readaptation)
        shape = layers.ranking(self.run.network)
        patches = 2.0 * settings.batch_pairs * schedule.iterations
        work = self.speed.training(shape, patches, settings.precision, max(1, self.run.gpus))
        staged = pairs * self._pair_bytes() if self.run.data.stage_to else 0.0
        return self._trained(shape, work, temporary=staged)

    def _import_weights(self, job: Job) -> Cost:
        return self._learning(kept=self.figures["caffemodel_bytes"])

    def _trained(self, shape: layers.Shape, *work: Work, temporary: float = 0.0) -> Cost:
        weights = shape.parameters * _FLOAT
        temporary += weights * self.figures["checkpoint_times"]
        return self._learning(*work, kept=weights, temporary=temporary)

    # Detection.

    def _fetch_voc(self, job: Job) -> Cost:
        part = self.graph.voc[job.year]
        images = sum(self.images.voc(part, split) for split in self.graph.splits(job.year))
        if part.source == "miniworld":
            kept = images * self.figures["drawn_voc_bytes"]
            return self._command(images * self.figures["drawn_voc_s"], kept=kept)
        kept = self.figures[f"voc{part.year}_bytes"] if part.source == "download" else 0.0
        return self._command(images * self.figures["annotation_s"], kept=kept)

    def _propose_windows(self, job: Job) -> Cost:
        part, settings = self.graph.voc[job.year], self.run.proposals
        images = self.images.voc(part, job.split)
        each = self.figures["drawn_propose_s" if part.source == "miniworld" else "propose_s"]
        if settings.mode == "quality":
            each *= self.figures["propose_quality_times"]
        windows = images * self.images.windows_each(part) * self.figures["proposal_bytes"]
        return self._command(0.0 if settings.mode == "file" else images * each, kept=windows)

    def _detector(self, year: str) -> layers.Shape:
        classes = round(self.images.voc_classes(self.graph.voc[year]))
        return layers.classifier(self.run.network, classes + 1)

    def _finetune_detector(self, job: Job) -> Cost:
        settings, shape = self.run.finetuning, self._detector(job.year)
        windows = float(settings.iterations * settings.batch_windows)
        return self._trained(shape, self.speed.training(shape, windows))

    def _extract_features(self, job: Job) -> Cost:
        layer = job.kind.rpartition("_")[2]
        rows = self.images.windows(self.graph.voc[job.year], job.split)
        shape = layers.up_to(self.run.network, layer)  # type: ignore[arg-type]
        work = self.speed.forward(shape, rows)
        return self._learning(work, temporary=rows * shape.features * _HALF)

    def _dims(self, job: Job) -> int:
        """Features of a row of the detection table: those of its members, joined."""
        one = layers.up_to(self.run.network, self.run.layer(job.method)).features
        return one * len(self.run.methods[job.method].networks)

    def _train_svms(self, job: Job) -> Cost:
        part, dims = self.graph.voc[job.year], self._dims(job)
        rows = self.images.windows(part, part.train_split)
        core_s = self.figures["svm_start_s"] + rows * dims / _FULL_DIM * self.figures["svm_row_s"]
        kept = self.images.voc_classes(part) * (dims + 1) * _FLOAT
        return self._command(core_s, kept=kept)

    def _detect(self, job: Job) -> Cost:
        part, dims = self.graph.voc[job.year], self._dims(job)
        images, classes = self.images.voc(part, part.test_split), self.images.voc_classes(part)
        rows = self.images.windows(part, part.test_split)
        core_s = rows * dims / _FULL_DIM * self.figures["detect_row_s"]
        core_s += images * classes * self.figures["detect_class_s"]
        return self._numbers(core_s, kept=images * classes * self.figures["detection_bytes"])

    def _retrieve(self, job: Job) -> Cost:
        part = self.run.voc
        queries = self.images.voc(part, part.test_split) * self.figures["objects_per_image"]
        gallery = self.images.windows(part, part.train_split) * self.figures["gallery_share"]
        dims = layers.up_to(self.run.network, self.run.retrieval.layer).features
        flop = 2.0 * queries * gallery * dims
        return self._numbers(flop / self.figures["matrix_flops_per_s"])

    # Whole images.

    def _fetch_mit67(self, job: Job) -> Cost:
        settings = self.run.scenes
        images = self.images.scenes("train") + self.images.scenes("test")
        if settings.source == "miniworld":
            kept = images * self.figures["drawn_scene_bytes"]
            return self._command(images * self.figures["drawn_scene_s"], kept=kept)
        kept = self.figures["mit67_bytes"] if settings.source == "download" else 0.0
        return self._command(self._decoding_images(images, ""), kept=kept)

    def _decoding_images(self, images: float, source: str) -> float:
        return images * self.figures["image_s"] * self.images.px(source) / self.images.px("")

    def _extract_image_features(self, job: Job) -> Cost:
        source: str
        if job.benchmark == "scenes":
            images, source = self.images.scenes(job.split), self.run.scenes.source
        else:
            part = self.graph.voc[self.graph.classified]
            images, source = self.images.voc(part, job.split), part.source
        layer = job.kind.rpartition("_")[2]
        shape = layers.up_to(self.run.image_network, layer)  # type: ignore[arg-type]
        return self._learning(
            self.speed.forward(shape, images),
            core_s=self._decoding_images(images, source),
            temporary=images * shape.features * _HALF,
        )

    def _linear(self, images: float, dims: int, classes: float, trainings: int) -> float:
        """Core-seconds of linear classifiers on features in memory: forward and backward a pass."""
        flop = 4.0 * images * dims * classes * trainings * self.figures["solver_passes"]
        return flop / self.figures["matrix_flops_per_s"]

    def _classify_features(self, job: Job) -> Cost:
        settings, part = self.run.classification, self.graph.voc[self.graph.classified]
        dims = layers.up_to(self.run.image_network, settings.layer).features
        images = self.images.voc(part, part.train_split)
        trainings = settings.folds * len(settings.c) + 1
        return self._numbers(self._linear(images, dims, self.images.voc_classes(part), trainings))

    def _classify_scenes(self, job: Job) -> Cost:
        dims = layers.up_to(self.run.image_network, "pool5").features
        trainings = len(self.run.scenes.classifier.c) + 1
        images = self.images.scenes("train")
        return self._numbers(self._linear(images, dims, self.images.scene_classes(), trainings))

    def _finetune_classifier(self, job: Job) -> Cost:
        settings, part = self.run.classification.finetuning, self.graph.voc[self.graph.classified]
        shape = layers.classifier(self.run.image_network, round(self.images.voc_classes(part)))
        tested = 10 * self.images.voc(part, part.test_split)  # ten crops
        learnt = float(settings.iterations * settings.batch_images)
        work = (self.speed.training(shape, learnt), self.speed.forward(shape, tested))
        return self._trained(shape, *work)

    def _finetune_scenes(self, job: Job) -> Cost:
        settings = self.run.scenes.finetuning
        shape = layers.classifier(self.run.image_network, round(self.images.scene_classes()))
        learnt = float(settings.iterations * settings.batch_images)
        tested = self.images.scenes("test")
        work = (self.speed.training(shape, learnt), self.speed.forward(shape, tested))
        return self._trained(shape, *work)

    def _scenes_baseline(self, job: Job) -> Cost:
        images = self.images.scenes("train") + self.images.scenes("test")
        area = self.images.px(self.run.scenes.source) / self.images.px("miniworld")
        return self._numbers(images * area * self.figures["baseline_s"])

    # Surface normals.

    def _fetch_nyuv2(self, job: Job) -> Cost:
        settings = self.run.nyuv2
        frames = self.images.rooms("train") + self.images.rooms("test")
        if settings.source == "miniworld":
            kept = frames * self.figures["drawn_room_bytes"]
            return self._command(frames * self.figures["drawn_room_s"], kept=kept)
        return self._command(
            kept=self.figures["nyuv2_bytes"] if settings.source == "download" else 0
        )

    def _prepare_normals(self, job: Job) -> Cost:
        settings, train = self.run.nyuv2, self.images.rooms("train")
        frames = train + self.images.rooms("test")
        each = self.figures["prepare_normals_s"]
        if settings.normals is None:
            each += self.figures["normals_from_depth_s"]
        codes = train * 2 * settings.grid**2 * settings.words * _FLOAT
        kept = frames * self.figures["prepared_frame_bytes"] + codes
        return self._command(frames * each, kept=kept)

    def _normals(self) -> layers.Shape:
        outputs = self.run.nyuv2.grid**2 * self.run.nyuv2.words
        return layers.normals(self.run.image_network, outputs)

    def _train_normals(self, job: Job) -> Cost:
        shape = self._normals()
        images = float(self.run.normals.iterations * self.run.normals.batch_images)
        return self._trained(shape, self.speed.training(shape, images))

    def _predict_normals(self, job: Job) -> Cost:
        frames = self.images.rooms("test")
        kept = frames * self.run.nyuv2.grid**2 * 3 * _FLOAT
        if job.method == "mean_normal":
            return self._command(kept=kept)
        return self._learning(self.speed.forward(self._normals(), frames), kept=kept)

    def _score_normals(self, job: Job) -> Cost:
        pixels = self.images.rooms("test") * _VALID_PX
        return self._command(pixels * self.figures["score_px_s"])


def wanted_pairs(run: Config, name: str) -> int:
    """Pairs that a set asks for; the config counts pairs or patches."""
    size = run.pretraining.sets[name].size
    return size // 2 if run.pretraining.set_unit == "patches" else size
