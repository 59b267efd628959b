import copy
from pathlib import Path

import pytest
import yaml

from trackssl.config import (
    Config,
    Mining,
    Voc,
    config_schema,
    load_config,
    load_settings,
    parse,
)
from trackssl.errors import InputError

REPOSITORY = Path(__file__).parents[1]
CONFIGS = ["config.yaml", "config/study.yaml", "config/paper.yaml", "config/my_videos.yaml"]


@pytest.fixture
def values() -> dict:
    return copy.deepcopy(yaml.safe_load((REPOSITORY / "config.yaml").read_text()))


@pytest.mark.parametrize("path", CONFIGS)
def test_every_config_of_the_project_is_valid(path: str) -> None:
    assert load_config(REPOSITORY / path).name == Path(path).stem.replace("config", "miniature")


def test_the_schema_in_the_workflow_is_the_one_of_the_models() -> None:
    written = (REPOSITORY / "workflow/schemas/config.schema.yaml").read_text()
    assert written == config_schema(), "run: trackssl config-schema > workflow/schemas/..."


def test_the_paper_config_says_what_the_defaults_say() -> None:
    paper = load_config(REPOSITORY / "config/paper.yaml")
    assert paper.second_voc == Voc(year=2007)
    own = {"name": "paper", "videos": paper.videos, "second_voc": paper.second_voc}
    assert paper == Config(**own, torch_threads=8)


def test_the_study_is_the_miniature_with_more_of_what_takes_time() -> None:
    miniature, study = (load_config(REPOSITORY / f) for f in ("config.yaml", "config/study.yaml"))
    assert len(study.seeds) >= 3 and not set(study.seeds) & set(miniature.seeds)
    sizes = [
        {name: chosen.size for name, chosen in run.pretraining.sets.items()}
        for run in (miniature, study)
    ]
    assert sizes[0] == sizes[1]
    sections = ("pretraining", "proposals", "finetuning", "classification", "scenes", "normals")
    more = {"name", "seeds", "image_input_px", "second_voc", "tables", "nyuv2", *sections}
    assert study == miniature.model_copy(update={name: getattr(study, name) for name in more})
    kept = {"learning_rate", "dropout", "momentum", "weight_decay"}
    for own, other in (
        (study.finetuning, miniature.finetuning),
        (study.classification.finetuning, miniature.classification.finetuning),
        (study.scenes.finetuning, miniature.scenes.finetuning),
        (study.normals, miniature.normals),
    ):
        assert own.model_dump(include=kept) == other.model_dump(include=kept)
        assert own.iterations > other.iterations


def test_a_setting_absent_from_the_config_has_the_papers_value(values: dict) -> None:
    assert "hessian_threshold" not in values["mining"]
    assert parse(Config, values, "config").mining.hessian_threshold == 200


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("mining.patchpx", 99, "'mining.patchpx' is not a known key"),
        (
            "mining.patch_px",
            "99",
            "'mining.patch_px' is '99', but: input should be a valid integer",
        ),
        ("mining.patch_px", 1000, "must not exceed the frame's height or width"),
        ("mining.min_flow_px", -1.0, "'mining.min_flow_px' is -1.0, but: input should be greater"),
        ("pretraining.sets.1_5m.size", 5000, "list them from small to large"),
        ("pretraining.sets.1_5m.epochs", 7, "exactly one of iterations and epochs"),
        ("networks", {"a": {"init": "pairs", "set": "9m"}}, "there is no set '9m'"),
        ("networks", {"a": {"init": "readapted", "after": "b"}}, "no network 'b' to start from"),
        ("networks", {"a": {"init": "readapted", "after": "a"}}, "leads back to itself"),
        ("networks", {"a": {"init": "pairs"}}, "init 'pairs' needs 'set'"),
        ("networks", {"mean_normal": {"init": "random"}}, "choose another name"),
        ("networks", {"random": {"init": "pairs", "set": "5m"}}, "choose another name"),
        ("methods", {"both": {"networks": ["scratch", "lost"]}}, "there is no network 'lost'"),
        ("methods", {"un.dotted": {"networks": ["scratch"]}}, "un.dotted"),
        ("name", None, "'name' is None"),
    ],
)
def test_an_impossible_config_is_refused_with_key_and_remedy(
    values: dict, path: str, value: object, sentence: str
) -> None:
    *parents, key = path.split(".")
    section = values
    for parent in parents:
        section = section[parent]
    section[key] = value
    with pytest.raises(InputError) as refused:
        parse(Config, values, "config.yaml")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ({"classification": {"layer": "fc7"}}, "classification.layer fc7 is a layer whose size"),
        (
            {"networks": {"own": {"init": "weights", "path": "w", "carry": "all"}}, "methods": {}},
            "networks.own carries a layer whose size goes with network.input_px, 99",
        ),
    ],
)
def test_larger_whole_images_take_convolutions_alone(values: dict, section, what: str) -> None:
    config = parse(Config, values | {"image_input_px": 163}, "config.yaml")
    assert config.image_network == config.network.model_copy(update={"input_px": 163})
    parse(Config, values | section, "config.yaml")
    with pytest.raises(InputError, match=what):
        parse(Config, values | section | {"image_input_px": 163}, "config.yaml")


def test_repeated_networks_of_a_method_take_different_seeds() -> None:
    config = load_config(REPOSITORY / "config/paper.yaml")
    assert config.members("scratch_ensemble_3", 2) == [
        ("scratch", 2),
        ("scratch", 10_002),
        ("scratch", 20_002),
    ]
    assert config.members("unsup_ensemble_2", 2) == [("unsup_1_5m", 2), ("unsup_5m", 2)]


def test_a_chain_of_readaptations_knows_its_set_and_length() -> None:
    config = load_config(REPOSITORY / "config/paper.yaml")
    assert config.chain("unsup_5m_iterative")[0] == "unsup_5m"
    assert len(config.chain("unsup_5m_iterative")) == 3
    assert config.pair_set("unsup_5m_iterative") == "5m"
    assert config.pair_set("scratch") is None


def test_settings_come_inline_or_from_a_section_or_from_a_whole_config(tmp_path: Path) -> None:
    section = tmp_path / "mining.yaml"
    section.write_text("patch_px: 99\n")
    whole = str(REPOSITORY / "config.yaml")
    assert load_settings(Mining, None, "mining") == Mining()
    assert load_settings(Mining, '{"patch_px": 99}', "mining").patch_px == 99
    assert load_settings(Mining, str(section), "mining").patch_px == 99
    assert load_settings(Mining, whole, "mining").frame_height_px == 240
    with pytest.raises(InputError, match="not valid JSON"):
        load_settings(Mining, "{patch_px: 99}", "mining")
    with pytest.raises(InputError, match="cannot be read as YAML"):
        load_settings(Mining, str(tmp_path / "absent.yaml"), "mining")


@pytest.fixture
def own_videos() -> dict:
    return yaml.safe_load((REPOSITORY / "config/my_videos.yaml").read_text())


def test_the_folder_of_the_command_line_takes_the_place_of_the_files(own_videos: dict) -> None:
    run = parse(Config, own_videos | {"videos_folder": "/else/where"}, "config")
    assert run.videos.folder == "/else/where"
    assert run.videos.shards == own_videos["videos"]["shards"]
    at_home = parse(Config, own_videos | {"videos_folder": "~/Videos"}, "config")
    assert at_home.videos.folder == str(Path.home() / "Videos")
    assert parse(Config, own_videos, "config").videos.folder == own_videos["videos"]["folder"]


def test_a_folder_for_drawn_videos_is_refused_with_the_config_to_name(values: dict) -> None:
    with pytest.raises(InputError, match="name a config whose source is folder"):
        parse(Config, values | {"videos_folder": "/my"}, "config")


def test_own_videos_need_no_benchmark(own_videos: dict) -> None:
    run = parse(Config, own_videos, "config")
    assert (run.methods, run.result_tables) == ({}, [])


def test_only_a_network_of_pairs_is_explored(own_videos: dict) -> None:
    own_videos["networks"]["other"] = {"init": "random"}
    for name in ("other", "nowhere"):
        own_videos["explore"]["network"] = name
        with pytest.raises(InputError, match=rf"explore.network: '{name}' is not a network of"):
            parse(Config, own_videos, "config")
