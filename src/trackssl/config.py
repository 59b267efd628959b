"""The config file as typed models: one section a stage, defaults as in the paper at its full scale.

`workflow/schemas/config.schema.yaml` is generated from here (`trackssl config-schema`). Where the
paper is silent or contradicts itself, the field says so; `docs/design.md` lists all deviations.
"""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from trackssl import miniworld
from trackssl.errors import InputError

# Names become file names, table cells and DVC keys: no dots, no separators.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]*$", max_length=64)]
Share = Annotated[float, Field(ge=0, le=1)]
Backbone = Literal["alexnet", "resnet18", "resnet50"]
Carry = Literal["convolutions", "all"]
FeatureLayer = Literal["pool5", "fc6", "fc7"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "tf32", "bfloat16"]


class Section(BaseModel):
    """A part of the config: unknown keys are refused, values do not change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False
    )


class Videos(Section):
    """Where the videos come from and how they are split into jobs."""

    source: Literal["miniworld", "folder", "youtube", "http", "tar"] = Field(
        "youtube",
        description=(
            "miniworld draws videos, folder reads yours, tar takes them out of .tar files, youtube "
            "asks yt-dlp for ids and pages, http fetches addresses of video files."
        ),
    )
    folder: str | None = Field(
        None,
        description="source folder: the folder, searched recursively; tar: that of the .tar files.",
    )
    list: str | None = Field(
        None,
        description=(
            "sources youtube and http: a text file, one id or http(s) address a line, or a .csv "
            "with the column source (or id, or address) and, if wanted, start and end (seconds) "
            "and query."
        ),
    )
    count: int | None = Field(
        100_000, ge=1, description="Videos to use, in the order of the source; null for all."
    )
    shards: int = Field(1_000, ge=1, description="Jobs a stage: item i goes to shard i mod shards.")
    max_height_px: int = Field(480, ge=64, description="source youtube: best stream up to this.")
    max_minutes: float = Field(
        20, gt=0, description="sources youtube, http, tar: longer videos are not taken."
    )
    max_bytes: int = Field(
        1_000_000_000,
        ge=1,
        description="sources youtube, http, tar: a video with more bytes is not taken.",
    )
    min_success_share: Share = Field(
        0.0, description="A shard fails when a smaller share of its videos could be had."
    )
    min_seconds_between_requests: float = Field(
        2.0,
        ge=0,
        description=(
            "Between two requests to one host, up to half as much again; all jobs that share the "
            "store's folder wait in one line."
        ),
    )
    max_attempts: int = Field(
        5,
        ge=1,
        description=(
            "Failures in a row of one request that may heal: a server's error, a timeout, a "
            "dropped connection, throttling."
        ),
    )
    backoff_seconds: float = Field(
        2.0, ge=0, description="Wait after the first such failure, doubled after each further one."
    )
    max_wait_seconds: float = Field(
        600, ge=0, description="The longest wait; a server that asks for more is given up."
    )
    timeout_seconds: float = Field(
        20, gt=0, description="Without an answer, or with less than 1 kB a second, for so long."
    )
    cookies: str | None = Field(
        None,
        description="sources youtube and http: a file of cookies in Netscape's format, only read.",
    )
    fetch_locally: bool = Field(
        False, description="Fetch where Snakemake runs, as nodes of the cluster have no network."
    )
    seed: int = Field(0, ge=0, description="source miniworld: the world's seed.")

    @model_validator(mode="after")
    def _source_is_complete(self) -> Self:
        if self.source == "folder" and not self.folder:
            raise ValueError("source 'folder' needs videos.folder: the folder of your videos")
        if self.source == "tar" and not self.folder:
            raise ValueError("source 'tar' needs videos.folder: the folder of the .tar files")
        if self.source in ("youtube", "http") and not self.list:
            raise ValueError(
                f"source '{self.source}' needs videos.list: a file of ids or addresses"
            )
        if self.source == "miniworld" and self.count is None:
            raise ValueError("source 'miniworld' needs videos.count: how many videos to draw")
        return self


class Mining(Section):
    """Which patches are taken from a video and how they are tracked (paper, sec. 4)."""

    frame_height_px: int = Field(448, ge=64, description="Frames are resized to this height.")
    frame_width_px: int = Field(600, ge=64, description="Frames are resized to this width.")
    start_every_frames: int = Field(
        18, ge=1, description="Distance of the frames tried as first ones; the paper is silent."
    )
    hessian_threshold: float = Field(200, gt=0, description="SURF, OpenCV's units; IDT uses 200.")
    min_points: int = Field(
        20, ge=1, description="Frames with fewer interest points are rejected; the paper is silent."
    )
    flow: Literal["dis", "farneback"] = Field("dis", description="Dense optical flow.")
    min_flow_px: float = Field(0.5, gt=0, description="A point that moves more is moving.")
    min_moving_share: Share = Field(0.25, description="Fewer moving points: noise, rejected.")
    max_moving_share: Share = Field(0.75, description="More moving points: camera, rejected.")
    mask_people: bool = Field(
        False, description="As IDT's option: people found by HOG tell nothing of the camera."
    )
    patch_px: int = Field(227, ge=16, description="Side of the window.")
    windows_per_frame: int = Field(
        1, ge=1, description="At most so many windows of one frame, fullest first; the paper: one."
    )
    max_window_overlap: Share = Field(
        0.3, description="Intersection over union of two windows of one frame, at most; ours."
    )
    track_frames: int = Field(30, ge=1, description="The second patch is this many frames later.")
    track_padding: float = Field(
        0.5,
        ge=0,
        le=4,
        description="What KCF sees around the box, in sides of the box; 1.5 as published.",
    )
    min_track_score: float = Field(
        5.0,
        ge=0,
        description="A track is lost when its peak to sidelobe ratio falls below; the paper: none.",
    )
    min_points_kept: Share = Field(
        0.6,
        description=(
            "Of a window's moving points that flow can follow, so many must end in the tracked "
            "box (and three at least be followed), or the track is dropped; ours, 0 for not so."
        ),
    )
    jpeg_quality: int = Field(90, ge=1, le=100, description="Of the stored patches.")

    @model_validator(mode="after")
    def _window_fits(self) -> Self:
        if self.patch_px > min(self.frame_height_px, self.frame_width_px):
            raise ValueError("mining.patch_px must not exceed the frame's height or width")
        if self.min_moving_share > self.max_moving_share:
            raise ValueError("mining.min_moving_share must not exceed max_moving_share")
        return self


class PairSet(Section):
    """A training set: the first `size` pairs of the merged order, so sets are nested."""

    size: int = Field(ge=1, description="Pairs or patches, see pretraining.set_unit.")
    iterations: int | None = Field(None, ge=1, description="Length of the training.")
    epochs: int | None = Field(None, ge=1, description="Length, in place of iterations.")
    lr_step_iterations: int | None = Field(
        None, ge=1, description="Learning rate / 10 each so many iterations; null for never."
    )
    lr_step_epochs: float | None = Field(None, gt=0, description="The same, in epochs.")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.iterations is None) == (self.epochs is None):
            raise ValueError("give exactly one of iterations and epochs")
        if self.lr_step_iterations is not None and self.lr_step_epochs is not None:
            raise ValueError("give lr_step_iterations or lr_step_epochs, not both")
        return self


class Network(Section):
    """The architecture that every row shares."""

    backbone: Backbone = Field(
        "alexnet",
        description=(
            "alexnet: the paper's, in CaffeNet's order; resnet18, resnet50: torchvision's, up to "
            "the average pool, with the same heads."
        ),
    )
    width: float = Field(
        1.0, gt=0, le=1, description="Multiplies the channels of every layer; alexnet only."
    )
    input_px: int = Field(227, ge=67, description="Side of the network's input.")

    @model_validator(mode="after")
    def _resnets_are_whole(self) -> Self:
        if self.backbone != "alexnet" and self.width != 1:
            raise ValueError(
                f"network.width is {self.width:g}, but {self.backbone} has full width only; set it "
                "to 1, or backbone to alexnet"
            )
        return self


# Where the authors' released code (caffe-video_triplet) differs from the paper.
_RELEASED: dict[str, Any] = {
    "sets": {
        name: PairSet(size=size, iterations=400_000, lr_step_iterations=100_000)
        for name, size in [("1_5m", 1_500_000), ("5m", 5_000_000), ("8m", 8_000_000)]
    },
    "margin": 1.0,
    "anchors": "both",
    "negative_choice": "released",
    "hard_share": 0.5,
    "divisor": "constant",
}


class Pretraining(Section):
    """The ranking task on pairs of patches (paper, sec. 5)."""

    preset: Literal["paper", "released"] = Field(
        "paper",
        description=(
            "Whose values hold where a key of this section is not given. released, as the authors' "
            "code: margin 1, anchors both, negative_choice released, hard_share 0.5, divisor "
            "constant, and sets of 400,000 iterations with the rate / 10 each 100,000."
        ),
    )
    sets: dict[Name, PairSet] = Field(
        default={
            "1_5m": PairSet(size=1_500_000, iterations=150_000, lr_step_iterations=80_000),
            "5m": PairSet(size=5_000_000, iterations=350_000, lr_step_iterations=120_000),
            "8m": PairSet(size=8_000_000, iterations=350_000, lr_step_iterations=120_000),
        },
        description="The nested sets, smallest first. Their schedules are unconfirmed.",
    )
    set_unit: Literal["pairs", "patches"] = Field(
        "pairs", description="What a set's size counts; the paper leaves it open."
    )
    batch_pairs: int = Field(50, ge=2, description="Pairs a batch; 50 pairs are 100 patches.")
    loss: Literal["ranking", "infonce"] = Field(
        "ranking",
        description=(
            "ranking: the paper's hinge; infonce: cross-entropy of the partner among itself and "
            "the negatives, the mean over the anchors (van den Oord et al. 2018)."
        ),
    )
    temperature: float = Field(0.1, gt=0, description="loss infonce: divides the cosines; ours.")
    margin: float = Field(0.5, gt=0, description="M of the hinge; it also says who violates.")
    anchors: Literal["first", "both"] = Field(
        "first",
        description="first: a pair's first patch; both: each in turn, with the first's negatives.",
    )
    negatives: int | None = Field(
        4,
        ge=1,
        description=(
            "K, negatives a pair (unconfirmed). Null: all that may be chosen, which is the value "
            "of loss infonce where none is given."
        ),
    )
    hard_negatives_from_iteration: int | None = Field(
        None,
        ge=0,
        description=(
            "Random negatives before, the hardest of the batch from here. Null: the smaller of 10 "
            "epochs and half of the run; our deviation: the paper's numbers contradict each other."
        ),
    )
    negative_choice: Literal["hardest", "released", "semi_hard"] = Field(
        "hardest",
        description=(
            "Of the hard phase. hardest: of all patches of other videos; semi_hard: of those that "
            "are within the margin but no nearer than the partner (Schroff et al. 2015); released: "
            "drawn from the K hardest and from the other violators, in both phases from violators "
            "alone."
        ),
    )
    hard_share: Share = Field(
        1.0,
        description=(
            "Of the hard phase's negatives, so many are the hardest, the others random. The paper: "
            "all; with few videos that collapses the features, and a half does not."
        ),
    )
    divisor: Literal["chosen", "constant"] = Field(
        "chosen",
        description=(
            "loss ranking is divided by how many negatives were chosen (the mean; the paper does "
            "not say), or by K an anchor, whatever was chosen."
        ),
    )
    collapse_patience_steps: int | None = Field(
        5_000,
        ge=1,
        description=(
            "Collapsed features stop the run when their spread has not grown for so many "
            "iterations; null for never."
        ),
    )
    learning_rate: float = Field(0.001, gt=0, description="Of the weights; biases take twice it.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Of the stochastic gradient descent.")
    weight_decay: float = Field(5e-4, ge=0, description="Of the weights; none on biases.")
    mirror: bool = Field(True, description="Each patch is mirrored by a coin of its own.")
    colour: float = Field(
        0.0,
        ge=0,
        lt=1,
        description=(
            "Brightness, contrast and saturation of each patch are multiplied by draws from 1 - "
            "colour to 1 + colour; 0 for none, as in the paper. The authors' prototxt of the grey "
            "model names color_aug, but its code is not public: this is ours."
        ),
    )
    grey_share: Share = Field(
        0.0,
        description=(
            "So many of the patches turn grey, in three equal channels; 1 for a grey network as "
            "the authors' older one, 0 as in the paper."
        ),
    )
    crop_min_area: float = Field(
        1.0,
        gt=0,
        le=1,
        description=(
            "A square drawn from each patch, of this share of its area or more, is resized to the "
            "input; 1 for the whole patch, as in the paper."
        ),
    )
    precision: Precision = Field(
        "float32",
        description=(
            "float32; tf32: as float32, but a GPU rounds the factors of products to 10 bits; "
            "bfloat16: automatic mixed precision (on CPUs without such instructions far slower)."
        ),
    )
    compile: bool = Field(False, description="Compile the network by torch.compile.")
    checkpoint_every_seconds: float = Field(45, gt=0, description="What a kill may cost,")
    checkpoint_every_iterations: int | None = Field(
        None, ge=1, description="and in iterations, for a bound that no clock decides."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """Add what the preset and the loss say, so that whatever is saved says it too."""
        if not isinstance(values, dict):
            return values
        filled = dict(_RELEASED) if values.get("preset") == "released" else {}
        if values.get("loss") == "infonce":
            filled["negatives"] = None
        return filled | values

    @model_validator(mode="after")
    def _sets_grow(self) -> Self:
        items = list(self.sets.items())
        for (small, a), (large, b) in pairwise(items):
            if a.size > b.size:
                raise ValueError(
                    f"pretraining.sets: '{small}' ({a.size}) stands before '{large}' ({b.size}) "
                    "but is larger; sets are nested, list them from small to large"
                )
        return self


class Data(Section):
    """How pairs come from disk to the trainer. Results depend on the order alone (`shuffle`)."""

    shuffle: Literal["exact", "block"] = Field(
        "exact",
        description=(
            "exact: each epoch in an order of all pairs drawn anew, read at random from the disk; "
            "block: blocks of neighbouring pairs in such an order, read at length, for disks that "
            "are shared and slow. A batch of block then holds more pairs of one video."
        ),
    )
    block_pairs: int = Field(1_024, ge=1, description="shuffle block: pairs a block.")
    mixed_blocks: int = Field(
        64,
        ge=1,
        description=(
            "shuffle block: pairs are mixed within so many blocks, a window; two windows should "
            "fit into memory not in use, as the system's cache: 4 GiB at 33 KB a pair."
        ),
    )
    stage_to: str | None = Field(
        None,
        description=(
            "Folder on a disk of the node's own ($VARIABLES are filled in): before the training "
            "the pairs of the set are copied there, once for all runs on the node. Null: not so."
        ),
    )
    decode_threads: int | None = Field(
        None,
        ge=1,
        description=(
            "Threads of each process that decode patches ahead of the training; null: as many as "
            "its share of the cores, at most 8."
        ),
    )


# Of Pretraining, what changes no result, and of Data, what does.
UNTOLD = {"checkpoint_every_seconds", "checkpoint_every_iterations"}
SHUFFLING = {"shuffle", "block_pairs", "mixed_blocks"}


class Readaptation(Section):
    """Back to the ranking task from fine-tuned convolutions (iterative fine-tuning)."""

    length_share: float = Field(0.5, gt=0, description="Of the set's own iterations; ours.")
    learning_rate: float = Field(0.001, gt=0, description="The paper states none; ours.")


class Voc(Section):
    """The PASCAL VOC data of the detection benchmark."""

    source: Literal["miniworld", "devkit", "download"] = Field(
        "download", description="miniworld draws one, devkit takes yours, download fetches it."
    )
    devkit: str = Field("resources/voc/VOCdevkit", description="Folder that holds VOC<year>.")
    year: Literal[2007, 2012] = Field(
        2012, description="2012: its test labels are not public; 2007: they are."
    )
    train_split: Name = Field(
        "train", description="Fine-tuning and SVMs use this list. Default of 2007: trainval."
    )
    test_split: Name = Field("val", description="AP is measured on this one. Of 2007: test.")
    rule: Literal["11-point", "area"] = Field(
        "area", description="How AP is computed: area since VOC 2010. Default of 2007: 11-point."
    )
    classes: list[str] | None = Field(
        None, description="Annotations name no other; null: VOC's twenty if downloaded, else any."
    )
    train_images: int = Field(100, ge=1, description="source miniworld: images drawn for training.")
    test_images: int = Field(100, ge=1, description="source miniworld: images drawn for testing.")
    seed: int = Field(0, ge=0, description="source miniworld: the world's seed.")

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_2007(cls, values: Any) -> Any:
        """The miniworld draws the lists train and val in any year."""
        if not isinstance(values, dict) or values.get("year") != 2007:
            return values
        splits = {"train_split": "trainval", "test_split": "test"}
        drawn = values.get("source") == "miniworld"
        return {"rule": "11-point", **({} if drawn else splits), **values}


class Proposals(Section):
    """Selective search, or boxes from a file."""

    mode: Literal["fast", "quality", "file"] = Field(
        "fast", description="Selective search, as in R-CNN: fast; file takes your boxes."
    )
    file: str | None = Field(
        None,
        description=(
            "mode file: a .mat in the layout of R-CNN's boxes, or a .csv with the columns image, "
            "x0, y0, x1, y1 (edges from 0); {split} stands for the split's name."
        ),
    )
    max_windows: int | None = Field(
        2_000, ge=1, description="The first so many, in their own order; null for all."
    )
    min_side_px: int = Field(20, ge=1, description="Smaller windows are left out.")

    @model_validator(mode="after")
    def _file_is_given(self) -> Self:
        if (self.mode == "file") != (self.file is not None):
            raise ValueError("mode 'file' needs proposals.file: your boxes; no other mode takes it")
        return self


class Tuning(Section):
    """A training on labels by SGD as in Caffe."""

    iterations: int = Field(ge=1, description="Batches learnt.")
    lr_step_iterations: int | None = Field(ge=1, description="Rate / 10 each; null: never.")
    learning_rate: float = Field(gt=0, description="Of all layers; biases take twice as much.")
    dropout: float = Field(0.5, ge=0, lt=1, description="On fc6 and fc7.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Of the stochastic gradient descent.")
    weight_decay: float = Field(5e-4, ge=0, description="Of the weights; none on biases.")
    checkpoint_every_seconds: float = Field(45, gt=0, description="What a kill may cost.")


class Finetuning(Tuning):
    """R-CNN's fine-tuning on warped windows."""

    iterations: int = Field(200_000, ge=1, description="Unconfirmed.")
    lr_step_iterations: int | None = Field(
        80_000, ge=1, description="Rate / 10 each (unconfirmed)."
    )
    learning_rate: float = Field(0.01, gt=0, description="Of all layers (unconfirmed).")
    batch_windows: int = Field(128, ge=4, description="Windows a batch.")
    foreground_share: Share = Field(0.25, description="Of a batch.")
    foreground_overlap: Share = Field(0.5, description="IoU from which a window is an object.")
    context_px: int = Field(16, ge=0, description="Context around a window, at an input of 227.")


class SceneClassifier(Section):
    """Linear softmax on fixed features; the paper does not say how it was regularised: ours."""

    validation_share: float = Field(
        0.2, gt=0, lt=1, description="Of each class's training images: C is chosen on these."
    )
    c: list[Annotated[float, Field(gt=0)]] = Field(
        [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0],
        min_length=1,
        description="Weights of the loss to choose from, for features of mean norm 20.",
    )
    words: int = Field(400, ge=2, description="Baseline sift: words of its codebook.")
    descriptors: int = Field(
        100_000, ge=2, description="Baseline sift: descriptors that the codebook is made from."
    )


class SceneFinetuning(Tuning):
    """Fine-tuning of all layers on scenes; the paper states no schedule: ours."""

    iterations: int = Field(10_000, ge=1, description="Ours.")
    lr_step_iterations: int | None = Field(4_000, ge=1, description="Rate / 10 each; ours.")
    learning_rate: float = Field(0.01, gt=0, description="Of all layers; ours.")
    batch_images: int = Field(128, ge=1, description="Images a batch.")


class Scenes(Section):
    """The MIT Indoor 67 benchmark: its tree, its rows, its classifiers."""

    source: Literal["miniworld", "folder", "download"] = Field(
        "download", description="miniworld draws one, folder takes yours, download fetches it."
    )
    folder: str = Field(
        "resources/mit67/tree",
        description="Folder that holds Images/<class>/, TrainImages.txt and TestImages.txt.",
    )
    archive_sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description=(
            "source download: the archive's checksum, if you have a better one than "
            "workflow/datasets.csv; null takes that one."
        ),
    )
    skip_broken: bool = Field(
        False, description="Leave out images that cannot be decoded; the table counts them."
    )
    train_images: int = Field(20, ge=1, description="source miniworld: drawn of each kind.")
    test_images: int = Field(15, ge=1, description="source miniworld: drawn of each kind.")
    seed: int = Field(0, ge=0, description="source miniworld: the world's seed.")
    networks: list[Name] | None = Field(
        None,
        description=(
            "The rows, of fixed features and <network>_finetuned; null: all networks but "
            "readapted ones. Fixed features of init random are named random."
        ),
    )
    baselines: list[Literal["sift", "gist"]] = Field(
        ["sift", "gist"], description="Rows of features that are not learnt, with a linear SVM."
    )
    classifier: SceneClassifier = Field(SceneClassifier(), description=SceneClassifier.__doc__)
    finetuning: SceneFinetuning = Field(SceneFinetuning(), description=SceneFinetuning.__doc__)


class Intrinsics(Section):
    """A pinhole camera, in pixels; defaults: the colour camera of NYU Depth v2's toolbox."""

    fx: float = Field(518.8579, gt=0, description="Focal length along x.")
    fy: float = Field(519.4696, gt=0, description="Focal length along y.")
    cx: float = Field(325.5824, description="Principal point, from the left.")
    cy: float = Field(253.7362, description="Principal point, from the top.")


class Nyuv2(Section):
    """The NYU Depth v2 data of the normals benchmark, and how its normals are coded."""

    source: Literal["miniworld", "file", "download"] = Field(
        "download", description="miniworld draws rooms, file takes yours, download fetches them."
    )
    mat: str = Field(
        "resources/nyuv2/nyu_depth_v2_labeled.mat", description="The labelled frames, HDF5."
    )
    splits: str = Field("resources/nyuv2/splits.mat", description="The official split.")
    normals: str | None = Field(
        None,
        description=(
            "Folder of ground-truth normals: train/00001.png, test/00002.png as Ladicky et al. "
            "published them, or nm_000001.mat; source download fetches it where it is absent. "
            "Null: computed from depth, which the table says."
        ),
    )
    camera: Intrinsics = Field(Intrinsics(), description=Intrinsics.__doc__)
    window_px: int = Field(
        15, ge=3, description="Normals from depth: side of the windows that planes are fitted to."
    )
    max_plane_error: Share = Field(
        0.03, description="Normals from depth: none where a pixel is off its plane by more; ours."
    )
    words: int = Field(20, ge=4, description="Of the codebook (unconfirmed).")
    grid: int = Field(20, ge=1, le=400, description="Cells along each side of the crop.")
    train_images: int = Field(64, ge=1, description="source miniworld: rooms for training.")
    test_images: int = Field(24, ge=1, description="source miniworld: rooms for testing.")
    seed: int = Field(0, ge=0, description="source miniworld: the world's seed.")


class Normals(Tuning):
    """Training of the normals networks; the paper's schedule is unknown, so this is ours."""

    iterations: int = Field(20_000, ge=1, description="Ours.")
    lr_step_iterations: int | None = Field(8_000, ge=1, description="Rate / 10 each; ours.")
    learning_rate: float = Field(0.01, gt=0, description="Of all layers; ours.")
    batch_images: int = Field(32, ge=1, description="Images a batch; ours.")
    networks: list[Name] | None = Field(
        None, description="The rows of the table; null: all networks but readapted ones."
    )


class Svm(Section):
    """R-CNN's linear SVM of each class."""

    layer: Literal["fc7", "fc6", "pool5"] = Field("fc7", description="The feature.")
    feature_norm: float = Field(20, gt=0, description="Features are scaled to this mean norm.")
    c: float = Field(1e-3, gt=0, description="Weight of the hinge loss.")
    positive_weight: float = Field(2, gt=0, description="Of the positives' loss.")
    bias_multiplier: float = Field(10, gt=0, description="Constant feature of the bias.")
    negative_overlap: Share = Field(0.3, description="Negatives overlap every object less.")
    nms_overlap: Share = Field(0.3, description="Of non-maximum suppression.")
    min_score: float = Field(-1.1, description="Detections below are not written.")
    max_detections_per_image: int = Field(100, ge=1, description="Of a class, after suppression.")


class Retrieval(Section):
    """Nearest neighbours of VOC's objects, among windows on objects (unconfirmed protocol)."""

    networks: Annotated[list[Name], Field(min_length=1)] | None = Field(
        None,
        description=(
            "The rows: features without fine-tuning; null: of all networks but readapted ones. The "
            "row of init random is named random."
        ),
    )
    layer: FeatureLayer = Field("pool5", description="The feature.")
    gallery_overlap: Share = Field(
        0.5, description="Proposals with a higher IoU with an object are what is found."
    )


class Explore(Section):
    """What a network learned, looked at without labels: neighbours, a map, partners found."""

    network: Name | None = Field(
        None,
        description=(
            "Which of `networks` is looked at, with the first of the seeds, beside the same one "
            "before its training; null: results/explore/ is not made."
        ),
    )
    layer: Literal["pool5", "fc7"] = Field(
        "pool5",
        description=(
            "The feature of the neighbours and the map. pool5, as in the paper: fc7 is what the "
            "loss sees, and with few videos it learns these by heart."
        ),
    )
    held_out_share: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0,
        description=(
            "So many of the videos with pairs, rounded down, are kept out of all pre-training, so "
            "that what is found in them tells what was learned; 0 for none."
        ),
    )
    max_pairs: int = Field(
        1_000, ge=10, description="At most so many pairs are looked at, of either kind of video."
    )
    queries: int = Field(12, ge=1, le=50, description="Rows of the neighbours' sheet.")
    neighbours: int = Field(5, ge=1, le=20, description="Patches shown for each query.")


class ClassificationFinetuning(Tuning):
    """Fine-tuning of all layers on whole images; the paper did not do it: ours."""

    iterations: int = Field(40_000, ge=1, description="Ours.")
    lr_step_iterations: int | None = Field(15_000, ge=1, description="Rate / 10 each; ours.")
    learning_rate: float = Field(0.01, gt=0, description="Of all layers; ours.")
    batch_images: int = Field(32, ge=1, description="Images a batch; ours.")


class Classification(Section):
    """PASCAL VOC classification: of 2007 where voc or second_voc is, else of voc."""

    networks: Annotated[list[Name], Field(min_length=1)] | None = Field(
        None,
        description=(
            "The rows, of fixed features and <network>_finetuned; null: all networks but "
            "readapted ones. Fixed features of init random are named random."
        ),
    )
    layer: FeatureLayer = Field("pool5", description="The fixed feature.")
    c: list[Annotated[float, Field(gt=0)]] = Field(
        [1e-4, 1e-3, 1e-2, 1e-1, 1.0],
        min_length=1,
        description="Weights of the SVMs' loss to choose from, for features of mean norm 20; ours.",
    )
    folds: int = Field(3, ge=2, description="Of the cross-validation that chooses C; ours.")
    finetuning: ClassificationFinetuning = Field(
        ClassificationFinetuning(), description=ClassificationFinetuning.__doc__
    )


class NetworkSpec(Section):
    """One trained network: where its convolutions come from."""

    init: Literal["random", "pairs", "readapted", "torchvision", "weights", "caffemodel"] = Field(
        description=(
            "random: none; pairs: pre-training on a set; readapted: back to ranking from another "
            "fine-tuned network; torchvision: its ImageNet AlexNet; weights: a safetensors file; "
            "caffemodel: Caffe's file of a full-width network, such as the authors' release."
        )
    )
    set: Name | None = Field(None, description="init pairs: which of pretraining.sets.")
    after: Name | None = Field(None, description="init readapted: the network to start from.")
    path: str | None = Field(None, description="init weights or caffemodel: the file.")
    address: str | None = Field(
        None, description="init caffemodel: http(s) address of the file, in place of path."
    )
    sha256: str | None = Field(
        None, description="init caffemodel: the file's checksum; an address needs it."
    )
    suffix: str | None = Field(
        None, description="init caffemodel: what the file adds to layers' names: _2 for conv1_2."
    )
    pairs: int | None = Field(
        None, ge=1, description="init caffemodel: pairs it was trained on, for the tables."
    )
    carry: Carry = Field(
        "convolutions",
        description=(
            "init weights or caffemodel: what fine-tuning starts from; all: a classifier's fc6 and "
            "fc7 too, as R-CNN does with CaffeNet's."
        ),
    )

    @model_validator(mode="after")
    def _init_is_complete(self) -> Self:
        needed = {"pairs": "set", "readapted": "after", "weights": "path"}.get(self.init)
        for key in ("set", "after", "path", "address", "sha256", "suffix", "pairs"):
            given = getattr(self, key) is not None
            if given and key != needed and (self.init != "caffemodel" or key in ("set", "after")):
                raise ValueError(f"init '{self.init}' does not take '{key}'")
            if key == needed and not given:
                raise ValueError(f"init '{self.init}' needs '{key}'")
        if self.carry == "all" and self.init not in ("weights", "caffemodel"):
            raise ValueError(f"init '{self.init}' does not take 'carry'")
        if self.init == "caffemodel" and (self.path is None) == (self.address is None):
            raise ValueError("init 'caffemodel' needs exactly one of 'path' and 'address'")
        if self.address is not None and not self.address.startswith(("http://", "https://")):
            raise ValueError("'address' must begin with http:// or https://; a file is a 'path'")
        if self.address is not None and self.sha256 is None:
            raise ValueError("an 'address' needs 'sha256', the checksum of what is downloaded")
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError("'sha256' must be 64 hexadecimal digits, as sha256sum prints them")
        return self


class Release(Section):
    """What `trackssl release` copies for DVC to store and push; tables and plots always."""

    models: list[Literal["pretraining", "detection"]] = Field(
        ["pretraining", "detection"],
        description=(
            "pretraining: networks of the ranking task and their logs; detection: fine-tuned "
            "networks and the SVMs on their features. [] for none."
        ),
    )
    pairs: bool = Field(
        False, description="All mined pairs too, which are 263 GB at the paper's scale."
    )


_SEEDS_APART = 10_000  # of an ensemble's members of one network


class Method(Section):
    """One row of the tables: the features of its networks, joined."""

    networks: list[Name] = Field(
        min_length=1,
        description=(
            "Members. A network named k times stands for k seeds of it: at seed s those of s, "
            "s + 10000, s + 20000 ..., so that its row's own network is among them."
        ),
    )
    finetuned: bool = Field(
        True, description="false: features of the networks as they are, with no fine-tuning."
    )
    layer: FeatureLayer | None = Field(
        None, description="The feature; null: svm.layer, and pool5 without fine-tuning."
    )


_PAPER_NETWORKS = {
    "scratch": NetworkSpec(init="random"),
    "unsup_1_5m": NetworkSpec(init="pairs", set="1_5m"),
    "unsup_5m": NetworkSpec(init="pairs", set="5m"),
    "unsup_8m": NetworkSpec(init="pairs", set="8m"),
    "unsup_5m_iterative_1": NetworkSpec(init="readapted", after="unsup_5m"),
    "unsup_5m_iterative": NetworkSpec(init="readapted", after="unsup_5m_iterative_1"),
}
_PAPER_METHODS = {name: Method(networks=[name]) for name in _PAPER_NETWORKS} | {
    "scratch_ensemble_3": Method(networks=["scratch"] * 3),
    "unsup_ensemble_2": Method(networks=["unsup_1_5m", "unsup_5m"]),
    "unsup_ensemble_3": Method(networks=["unsup_1_5m", "unsup_5m", "unsup_8m"]),
    "scratch_pool5": Method(networks=["scratch"], finetuned=False),
    "unsup_8m_pool5": Method(networks=["unsup_8m"], finetuned=False),
    "unsup_ensemble_2_pool5": Method(networks=["unsup_1_5m", "unsup_5m"], finetuned=False),
}

TableName = Literal[
    "voc_map",
    "second_voc_map",
    "voc_retrieval",
    "voc07_classification",
    "mit67_accuracy",
    "nyu_normals",
]
# What the paper's tables are read for; the summary of each table holds these differences.
_PAPER_COMPARISONS = [
    ["unsup_1_5m", "scratch"],
    ["unsup_5m", "unsup_1_5m"],
    ["unsup_8m", "unsup_5m"],
    ["unsup_8m", "scratch"],
    ["unsup_5m_iterative_1", "unsup_5m"],
    ["unsup_5m_iterative", "unsup_5m"],
    ["scratch_ensemble_3", "scratch"],
    ["unsup_ensemble_2", "unsup_5m"],
    ["unsup_ensemble_3", "unsup_1_5m"],
    ["unsup_ensemble_3", "unsup_5m"],
    ["unsup_ensemble_3", "unsup_8m"],
    ["unsup_ensemble_3", "scratch_ensemble_3"],
    ["unsup_8m_pool5", "scratch_pool5"],
    ["unsup_8m", "random"],
    ["unsup_8m_finetuned", "scratch_finetuned"],
]

_BENCHMARKS = (
    "retrieval",
    "classification",
    "scenes",
    "normals",
)  # sections whose networks are rows


class Config(Section):
    """One run, whole: what one config file says."""

    name: Name = Field(description="Of the run; a results folder belongs to one name.")
    world: int | None = Field(
        None,
        description=(
            "Version of the built-in world that the numbers are for: another trackssl, which draws "
            "another one, refuses the run. null: any."
        ),
    )
    seeds: list[Annotated[int, Field(ge=0, lt=_SEEDS_APART)]] = Field(
        [0], min_length=1, description="Each row of each table is made once a seed."
    )
    torch_threads: int = Field(
        2, ge=1, description="Threads of each training process; results depend on it."
    )
    gpus: int = Field(
        1, ge=0, description="GPUs of each training job; pre-training uses them all. 0 for none."
    )
    nodes: int = Field(
        1,
        ge=1,
        description=(
            "Nodes of a SLURM cluster on which one pre-training runs, each with `gpus` GPUs and as "
            "many processes (without GPUs one)."
        ),
    )
    videos: Videos = Field(description=Videos.__doc__)
    videos_folder: str | None = Field(
        None,
        description=(
            "In place of videos.folder, for the command line: --config videos_folder=/your/videos"
        ),
    )
    mining: Mining = Field(Mining(), description=Mining.__doc__)
    network: Network = Field(Network(), description=Network.__doc__)
    image_input_px: int | None = Field(
        None,
        ge=67,
        description=(
            "Side of the input where a network sees whole images (classification, scenes, "
            "normals); null: network.input_px, as in the paper."
        ),
    )
    pretraining: Pretraining = Field(Pretraining(), description=Pretraining.__doc__)
    data: Data = Field(Data(), description=Data.__doc__)
    readaptation: Readaptation = Field(Readaptation(), description=Readaptation.__doc__)
    voc: Voc = Field(Voc(), description=Voc.__doc__)
    second_voc: Voc | None = Field(
        None,
        description=(
            "Another year: detection is measured on it too (results/voc_map_<year>.csv), and "
            "classification on whichever is 2007."
        ),
    )
    proposals: Proposals = Field(Proposals(), description=Proposals.__doc__)
    finetuning: Finetuning = Field(Finetuning(), description=Finetuning.__doc__)
    svm: Svm = Field(Svm(), description=Svm.__doc__)
    nyuv2: Nyuv2 = Field(Nyuv2(), description=Nyuv2.__doc__)
    normals: Normals = Field(Normals(), description=Normals.__doc__)
    retrieval: Retrieval = Field(Retrieval(), description=Retrieval.__doc__)
    classification: Classification = Field(Classification(), description=Classification.__doc__)
    scenes: Scenes = Field(Scenes(), description=Scenes.__doc__)
    explore: Explore = Field(Explore(), description=Explore.__doc__)
    networks: dict[Name, NetworkSpec] = Field(
        _PAPER_NETWORKS, description="What is trained; a network serves many methods."
    )
    methods: dict[Name, Method] = Field(_PAPER_METHODS, description="The rows of the tables.")
    tables: list[TableName] = Field(
        list(get_args(TableName)),
        description=(
            "What `snakemake` makes when no target is named: results/<table>.csv; none: []; "
            "second_voc_map: results/voc_map_<year>.csv where there is a second_voc."
        ),
    )
    release: Release = Field(Release(), description=Release.__doc__)
    comparisons: list[Annotated[list[Name], Field(min_length=2, max_length=2)]] = Field(
        _PAPER_COMPARISONS,
        description=(
            "[method, other]: their paired differences over the seeds are written beside each "
            "table that has both."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _folder_of_the_command_line(cls, values: Any) -> Any:
        """`videos_folder` becomes `videos.folder`."""
        if not isinstance(values, dict) or values.get("videos_folder") is None:
            return values
        folder, videos = values["videos_folder"], values.get("videos")
        if not isinstance(folder, str) or not isinstance(videos, dict):
            return values  # the fields themselves say what is wrong
        source = videos.get("source", "youtube")
        if source not in ("folder", "tar"):
            raise ValueError(
                f"videos_folder is given, but videos.source is '{source}'; name a config whose "
                "source is folder: --configfile config/my_videos.yaml"
            )
        return values | {"videos": videos | {"folder": str(Path(folder).expanduser())}}

    @field_validator("world")
    @classmethod
    def _world_is_ours(cls, world: int | None) -> int | None:
        if world not in (None, miniworld.VERSION):
            raise ValueError(
                f"this trackssl draws version {miniworld.VERSION} of the world; numbers of "
                "another version cannot be set beside its"
            )
        return world

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        if self.second_voc and self.second_voc.year == self.voc.year:
            raise ValueError("second_voc must be of another year than voc")
        years = [self.voc, self.second_voc]
        drawn = [part.devkit for part in years if part and part.source == "miniworld"]
        if len(set(drawn)) < len(drawn):
            raise ValueError("second_voc needs a devkit of its own, as the miniworld draws it anew")
        for name, network in self.networks.items():
            if name == "mean_normal" or (name == "random" and network.init != "random"):
                raise ValueError(
                    f"networks.{name}: tables call a row that no network made so; choose another "
                    "name"
                )
            if network.set is not None and network.set not in self.pretraining.sets:
                raise ValueError(
                    f"networks.{name}: there is no set '{network.set}' in pretraining.sets "
                    f"(there are: {', '.join(self.pretraining.sets)})"
                )
            shape = (self.network.backbone, self.network.width)
            if network.init == "caffemodel" and shape != ("alexnet", 1):
                raise ValueError(
                    f"networks.{name}: init 'caffemodel' is an alexnet of full width, but this is "
                    f"a run of {shape[0]} at width {shape[1]:g}; change that or leave this out"
                )
            whole_caffe = network.init == "caffemodel" and network.carry == "all"
            if whole_caffe and self.network.input_px != 227:
                raise ValueError(
                    f"networks.{name}: carry 'all' takes fc6 of a network of 227 px, but "
                    f"network.input_px is {self.network.input_px}; change that, or carry "
                    "'convolutions'"
                )
            self.chain(name)
        self._whole_images_fit()
        for name, method in self.methods.items():
            for member in method.networks:
                if member not in self.networks:
                    raise ValueError(
                        f"methods.{name}: there is no network '{member}' in networks "
                        f"(there are: {', '.join(self.networks)})"
                    )
        for section in _BENCHMARKS:
            for name in getattr(self, section).networks or ():
                if name not in self.networks:
                    raise ValueError(
                        f"{section}.networks: there is no network '{name}' in networks "
                        f"(there are: {', '.join(self.networks)})"
                    )
        looked_at = self.networks.get(self.explore.network or "")
        if self.explore.network and (looked_at is None or looked_at.init != "pairs"):
            raise ValueError(
                f"explore.network: '{self.explore.network}' is not a network of init 'pairs'; name "
                "one of those, or null"
            )
        return self

    def _whole_images_fit(self) -> None:
        if self.image_network == self.network:
            return
        whole = [name for name, network in self.networks.items() if network.carry == "all"]
        layer = self.classification.layer
        if whole or layer != "pool5":
            reason = f"networks.{whole[0]} carries" if whole else f"classification.layer {layer} is"
            raise ValueError(
                f"image_input_px {self.image_input_px}: {reason} a layer whose size goes with "
                f"network.input_px, {self.network.input_px}; leave image_input_px out"
            )

    @property
    def image_network(self) -> Network:
        """The network where it sees whole images; its convolutions fit any size."""
        px = self.image_input_px or self.network.input_px
        return self.network.model_copy(update={"input_px": px})

    @property
    def voc_by_year(self) -> dict[str, Voc]:
        """The VOC settings by the ending of their folders: none for voc, _<year> for second_voc."""
        second = self.second_voc
        return {"": self.voc} | ({f"_{second.year}": second} if second else {})

    @property
    def classified_year(self) -> str:
        """Of `voc_by_year`, what classification is measured on: 2007, whose test labels are public,
        where the run has it.
        """
        return next((year for year, part in self.voc_by_year.items() if part.year == 2007), "")

    @property
    def result_tables(self) -> list[str]:
        """Names of the tables that the run makes; detection has one of each year."""
        years = dict(zip(("voc_map", "second_voc_map"), self.voc_by_year, strict=False))
        return [
            f"voc_map{years[name]}" if name in years else name
            for name in self.tables
            if name in years or name != "second_voc_map"
        ]

    def fixed_name(self, network: str) -> str:
        """The row of a network's features as they are; one that is not trained is called random."""
        return "random" if self.networks[network].init == "random" else network

    def chain(self, network: str) -> list[str]:
        """Networks from the first pre-training to `network`: its iterative rounds in order."""
        names = [network]
        while (before := self.networks[names[0]].after) is not None:
            if before not in self.networks:
                raise ValueError(
                    f"networks.{names[0]}: there is no network '{before}' to start from"
                )
            if before in names:
                raise ValueError(f"networks.{names[0]}: '{before}' leads back to itself")
            if self.networks[before].init not in ("pairs", "readapted"):
                raise ValueError(
                    f"networks.{names[0]}: '{before}' was never trained on pairs, so there is no "
                    "set to go back to"
                )
            names.insert(0, before)
        return names

    def pair_set(self, network: str) -> str | None:
        """The set that a network, or the first of its chain, was pre-trained on."""
        return self.networks[self.chain(network)[0]].set

    def benchmarked(self, section: str) -> list[str]:
        """The networks that a benchmark's section names, or all but readapted ones."""
        given: list[str] | None = getattr(self, section).networks
        usual = [name for name, network in self.networks.items() if network.init != "readapted"]
        return usual if given is None else given

    @property
    def trained_seeds(self) -> list[int]:
        """Seeds of all networks that the run may train: of its rows and of ensembles' members."""
        rows = [(method, seed) for method in self.methods for seed in self.seeds]
        return sorted({seed for row in rows for _, seed in self.members(*row)} | set(self.seeds))

    def layer(self, method: str) -> FeatureLayer:
        """The layer whose features a method's SVMs see."""
        chosen = self.methods[method]
        return chosen.layer or (self.svm.layer if chosen.finetuned else "pool5")

    def members(self, method: str, seed: int) -> list[tuple[str, int]]:
        """(network, seed) of each member of a method: repeats of a network take other seeds."""
        names = self.methods[method].networks
        taken: dict[str, int] = {}
        result = []
        for name in names:
            index = taken.get(name, 0)
            taken[name] = index + 1
            result.append((name, seed + _SEEDS_APART * index))
        return result


S = TypeVar("S", bound=Section)


def parse(model: type[S], values: Any, where: str) -> S:
    """Validate plain values. Raises InputError naming each wrong key and what to write instead."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where}: {'; '.join(map(_sentence, error.errors()))}.") from None


def _sentence(error: Any) -> str:
    """One pydantic error as a clause: key, what is wrong, remedy."""
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"'{key}' is not a known key; see workflow/schemas/config.schema.yaml for the keys"
    if error["type"] == "missing":
        return f"the key '{key}' is missing; add it"
    message = error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    if key and isinstance(given, (str, int, float, bool, type(None))):
        return f"'{key}' is {given!r}, but: {message[0].lower()}{message[1:]}"
    return f"'{key}': {message}" if key else message


def read_yaml(path: Path) -> Any:
    """Plain values of a YAML file. Raises InputError if it is absent or not YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as YAML ({reason}).") from None


def load_config(path: Path) -> Config:
    """The typed config of a file. Raises InputError."""
    return parse(Config, read_yaml(path), str(path))


def load_settings(model: type[S], text: str | None, section: str) -> S:
    """Settings of one stage from a command's `--settings`, or the paper's where none are given.

    `text` is inline JSON (`{"patch_px": 99}`), or the path of a YAML file that holds the section
    alone or a whole config. Raises InputError.
    """
    if text is None:
        return parse(model, {}, section)
    if text.lstrip().startswith("{"):
        try:
            return parse(model, json.loads(text), "--settings")
        except json.JSONDecodeError as error:
            raise InputError(f"--settings is not valid JSON: {error}.") from None
    values = read_yaml(Path(text))
    if isinstance(values, dict) and section in values and "name" in values:
        values = values[section]
    return parse(model, values, text)


def config_schema() -> str:
    """JSON schema of the config, as YAML text with a notice on top."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    notice = "# Generated by `trackssl config-schema`; edit src/trackssl/config.py instead.\n"
    return notice + yaml.safe_dump(schema, sort_keys=False, width=100, allow_unicode=True)
