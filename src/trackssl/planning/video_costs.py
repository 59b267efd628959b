"""What the jobs of videos, pairs and pre-training cost: seconds of cores and GPUs, bytes."""

import math

from trackssl.config import Config
from trackssl.planning import layers
from trackssl.planning.costing import Cost, Costing
from trackssl.planning.jobs import Job
from trackssl.pretraining.schedule import pretraining_schedule, readaptation_schedule


class VideoCosts(Costing):
    """The stages that need no labels; of videos a job has a shard."""

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
        if mining.mask_people:
            each += self.figures["people_s"]
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
        return self._command(core_s, kept=self._share(self.found.pairs) * self.pair_bytes())

    def pair_bytes(self) -> float:
        """Of one pair on disk."""
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
        pairs = wanted_pairs(self.run, name)
        if settings.sets[name].epochs is not None:  # else the videos do not matter
            pairs = max(1, min(pairs, math.floor(self.found.pairs)))
        schedule = pretraining_schedule(settings, name, pairs)
        if readapted:
            schedule = readaptation_schedule(schedule, self.run.readaptation)
        shape = layers.ranking(self.run.network)
        patches = 2.0 * settings.batch_pairs * schedule.iterations
        work = self.speed.training(shape, patches, settings.precision, max(1, self.run.gpus))
        return self._trained(shape, work)

    def _explore(self, job: Job) -> Cost:
        return self._learning()

    def _import_weights(self, job: Job) -> Cost:
        return self._learning(kept=self.figures["caffemodel_bytes"])


def wanted_pairs(run: Config, name: str) -> int:
    """Pairs that a set asks for; the config counts pairs or patches."""
    size = run.pretraining.sets[name].size
    return size // 2 if run.pretraining.set_unit == "patches" else size
