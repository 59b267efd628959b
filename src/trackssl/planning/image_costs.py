"""What the jobs of the benchmarks cost: seconds of cores and GPUs, bytes."""

from trackssl.planning import layers
from trackssl.planning.costing import FLOAT, Cost, Costing
from trackssl.planning.jobs import Job

_HALF = 2  # bytes
_FULL_DIM = 4096  # of the features whose SVMs were measured
_VALID_PX = 427 * 561  # NYU Depth v2's valid crop


class ImageCosts(Costing):
    """The stages that learn from labelled images and are scored on them."""

    # Detection.

    def _fetch_voc(self, job: Job) -> Cost:
        part = self.graph.voc[job.year]
        images = sum(self.images.voc(part, split) for split in self.graph.splits(job.year))
        if part.source == "miniworld":
            kept = images * self.figures["drawn_voc_bytes"]
            return self._command(images * self.figures["drawn_voc_s"], kept=kept)
        size = self.figures[f"voc{part.year}_bytes"] if part.source == "download" else 0.0
        # Beside what is extracted lies the archive, which then goes.
        return self._command(images * self.figures["annotation_s"], kept=size, temporary=size)

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
        kept = self.images.voc_classes(part) * (dims + 1) * FLOAT
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
        size = self.figures["mit67_bytes"] if settings.source == "download" else 0.0
        return self._command(self._decoding_images(images, ""), kept=size, temporary=size)

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
        codes = train * 2 * settings.grid**2 * settings.words * FLOAT
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
        kept = frames * self.run.nyuv2.grid**2 * 3 * FLOAT
        if job.method == "mean_normal":
            return self._command(kept=kept)
        return self._learning(self.speed.forward(self._normals(), frames), kept=kept)

    def _score_normals(self, job: Job) -> Cost:
        pixels = self.images.rooms("test") * _VALID_PX
        return self._command(pixels * self.figures["score_px_s"])
