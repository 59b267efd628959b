import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from trackssl.errors import InputError
from trackssl.images import decode_image, encode_jpeg
from trackssl.pairs import commands
from trackssl.pairs.dataset import PairDataset
from trackssl.pairs.released import import_pairs
from trackssl.pairs.store import PairShard

SIDE = 48
VIDEOS = {"-0JUKIuzqn4": 12, "zz_Kp9f-0aE": 7, "aB3dE5gH7jK": 31}  # of three pairs each


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    """A folder as released: a folder a video, in it two patches a track, each of its own grey."""
    folder = tmp_path / "patches"
    for number, video in enumerate(VIDEOS):
        (folder / video).mkdir(parents=True)
        for patch in range(6):
            grey = np.full((SIDE, SIDE + 4, 3), 20 + 36 * number + 6 * patch, np.uint8)
            (folder / video / f"{patch}.jpg").write_bytes(encode_jpeg(grey))
    return folder


def lines() -> list[str]:
    return [f"{video}/{i}.jpg {label}" for video, label in VIDEOS.items() for i in range(6)]


def write_list(folder: Path, rows: list[str]) -> Path:
    path = folder.parent / "trainlist.txt"
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def bring_in(folder: Path, rows: list[str], **options) -> tuple[Path, object]:
    out = folder.parent / "pairs.arrow"
    done = import_pairs(folder, write_list(folder, rows), out, **options)
    return out, done


def command(*arguments: object) -> Result:
    app = typer.Typer()
    commands.register(app)
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=True)
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("patches",))


def test_pairs_hold_the_very_bytes_of_the_patches(patches: Path) -> None:
    out, done = bring_in(patches, lines())
    assert (done.pairs, done.videos, done.left_out) == (9, 3, {})
    for number, pair in enumerate(PairShard(out)):
        first, last = (patches / lines()[2 * number + i].split()[0] for i in (0, 1))
        assert pair.video == first.parent.name
        assert pair.first_jpeg == first.read_bytes()
        assert pair.last_jpeg == last.read_bytes()
        assert pair.first_frame == pair.last_frame == number
        assert pair.first_box == pair.last_box == (0, 0, SIDE + 4, SIDE)


def test_what_is_unknown_is_said_in_the_metadata_and_reads_in_pandas(patches: Path) -> None:
    out, _ = bring_in(patches, lines())
    shard = PairShard(out)
    assert shard.mining["list"] == "trainlist.txt"
    assert "unknown" in shard.mining["points, moving_points, track_score"]
    assert shard.videos == {}
    import pyarrow as pa

    table = pa.ipc.open_file(str(out)).read_pandas()
    assert table["points_kept"].isna().all()
    assert (table[["points", "moving_points", "track_score"]] == 0).all(axis=None)


def test_the_pairs_merge_show_and_train(patches: Path) -> None:
    listed = write_list(patches, lines())
    root = patches.parent
    out, merged, sheet = (root / name for name in ("pairs.arrow", "sets.parquet", "sheet.png"))
    text = command("import-pairs", patches, "--list", listed, "--out", out).output
    assert text.startswith("9 pairs from 3 videos")
    assert command("merge-pairs", out, "--out", merged).output.startswith("9 pairs from 3 videos")
    command("show-pairs", out, "--out", sheet, "--patch-px", 32)
    assert len(np.unique(decode_image(sheet.read_bytes(), "sheet"))) > 18  # all the greys
    batch = PairDataset(merged, 9, 9, SIDE, seed=0).batch(0)
    brightness = batch.first.float().mean(dim=(1, 2, 3))
    partner = batch.last.float().mean(dim=(1, 2, 3))
    assert torch.allclose(partner - brightness, torch.full((9,), 6.0), atol=1)
    video = ((brightness - 20) / 36).floor()  # as drawn
    assert torch.equal(video[:, None] == video, batch.videos[:, None] == batch.videos)


def test_labels_name_the_videos_where_folders_do_not(patches: Path) -> None:
    rows = lines()
    rows[6:12] = [row.replace(" 7", " 12") for row in rows[6:12]]  # one label, two folders
    rows[14:18] = [row.replace(" 31", " 5") for row in rows[14:18]]  # one folder, two labels
    out, done = bring_in(patches, rows)
    assert [pair.video for pair in PairShard(out)] == 6 * ["12"] + ["31", "5", "5"]
    assert done.videos == 3


def test_a_folder_named_like_a_label_is_not_taken_for_it(patches: Path) -> None:
    (patches / "zz_Kp9f-0aE").rename(patches / "12")
    (patches / "aB3dE5gH7jK").rename(patches / "third")
    rows = [r.replace("zz_Kp9f-0aE", "12").replace("aB3dE5gH7jK", "third") for r in lines()]
    rows[12:] = [row.replace(" 31", " 12") for row in rows[12:]]  # label 12 has two folders now
    out, _ = bring_in(patches, rows)
    assert [pair.video for pair in PairShard(out)] == 3 * ["12"] + 3 * ["7"] + 3 * ["12"]


def no_jpeg(patches: Path) -> None:
    grey = np.zeros((9, 9, 3), np.uint8)
    (patches / "zz_Kp9f-0aE/1.jpg").write_bytes(cv2.imencode(".png", grey)[1].tobytes())


def cut_short(patches: Path) -> None:
    path = patches / "zz_Kp9f-0aE/1.jpg"
    path.write_bytes(path.read_bytes()[:-40])


def huge(patches: Path) -> None:
    path = patches / "zz_Kp9f-0aE/1.jpg"
    path.write_bytes(path.read_bytes() + bytes(1 << 20))


def missing(patches: Path) -> None:
    (patches / "zz_Kp9f-0aE/1.jpg").unlink()


def folder(patches: Path) -> None:
    missing(patches)
    (patches / "zz_Kp9f-0aE/1.jpg").mkdir()


def pipe(patches: Path) -> None:
    missing(patches)
    os.mkfifo(patches / "zz_Kp9f-0aE/1.jpg")


def circle(patches: Path) -> None:
    missing(patches)
    (patches / "zz_Kp9f-0aE/1.jpg").symlink_to("1.jpg")


def link_out(patches: Path) -> None:
    shutil.move(patches / "zz_Kp9f-0aE/1.jpg", patches.parent / "moved.jpg")
    (patches / "zz_Kp9f-0aE/1.jpg").symlink_to(patches.parent / "moved.jpg")


def folder_link_out(patches: Path) -> None:
    shutil.move(patches / "zz_Kp9f-0aE", patches.parent / "moved")
    (patches / "zz_Kp9f-0aE").symlink_to("../moved")


@pytest.mark.parametrize(
    ("spoil", "reason", "count"),
    [
        (no_jpeg, "not a JPEG", 1),
        (cut_short, "not a JPEG", 1),
        (huge, "too large", 1),
        (missing, "no such file", 1),
        (folder, "no such file", 1),
        (pipe, "no such file", 1),
        (circle, "no such file", 1),
        (link_out, "outside the folder", 1),
        (folder_link_out, "outside the folder", 3),
    ],
)
def test_a_bad_patch_is_named_or_left_out(patches: Path, spoil, reason: str, count: int) -> None:
    whole, _ = bring_in(patches, lines())
    before = [(pair.video, pair.first_frame) for pair in PairShard(whole)]
    whole.unlink()
    spoil(patches)
    line = 7 if spoil is folder_link_out else 8
    with pytest.raises(InputError, match=rf"trainlist.txt, line {line}: .*zz_Kp9f-0aE/{line - 7}"):
        bring_in(patches, lines())
    assert not any(name.endswith((".arrow", ".part")) for name in leftovers(patches.parent))
    out, done = bring_in(patches, lines(), skip_bad=True)
    assert done.left_out == {reason: count}
    after = [(pair.video, pair.first_frame) for pair in PairShard(out)]
    assert after == before[:3] + before[3 + count :]  # and no other pair moved


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("zz_Kp9f-0aE/1.jpg", "not a line `path label`"),
        ("zz_Kp9f-0aE/1.jpg seven", "not a line `path label`"),
        ("zz_Kp9f-0aE/1.jpg 7.0", "not a line `path label`"),
        ("zz_Kp9f-0aE/1.jpg " + 30 * "7", "not a line `path label`"),
        ("zz_Kp9f-0aE/1\0.jpg 7", "not a line `path label`"),
        ("zz_Kp9f-0aE/1.jpg 8", "labels that differ"),
        ("../patches/zz_Kp9f-0aE/1.jpg 7", "outside the folder"),
        ("/etc/hostname 7", "outside the folder"),
        ("zz_Kp9f-0aE/" + 300 * "1" + ".jpg 7", "no such file"),
    ],
)
def test_a_bad_line_is_named_or_left_out(patches: Path, row: str, reason: str) -> None:
    rows = lines()
    rows[7] = row
    with pytest.raises(InputError, match=r"trainlist\.txt, line 8: "):
        bring_in(patches, rows)
    _, done = bring_in(patches, rows, skip_bad=True)
    assert (done.pairs, done.left_out) == (8, {reason: 1})


def test_a_line_that_is_not_text_is_named(patches: Path) -> None:
    listed = write_list(patches, lines())
    listed.write_bytes(listed.read_bytes().replace(b"zz_Kp9f-0aE/1", b"zz_\xff\xfe"))
    with pytest.raises(InputError, match="line 8: it is not `path label`"):
        import_pairs(patches, listed, patches.parent / "pairs.arrow")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], "line 17: the list has an odd number of lines"),
        (lambda rows: [*rows[:4], "", "", *rows[4:]], "line 5: it is empty"),
        (lambda rows: [*rows[:4], 9000 * "a", *rows[4:]], "line 5: it is longer than 8192 bytes"),
        (lambda rows: [], "names no good pair"),
        (lambda rows: ["a.jpg 1", "b.jpg 1"], "names no good pair .*: 1 no such file"),
    ],
)
def test_what_cannot_be_paired_is_refused_even_when_bad_pairs_are_skipped(
    patches: Path, change, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        bring_in(patches, change(lines()), skip_bad=True)
    assert leftovers(patches.parent) == ["trainlist.txt"]


def test_other_line_ends_blanks_and_links_within_the_folder_do_no_harm(patches: Path) -> None:
    (patches / "two words").mkdir()
    for patch in ("0.jpg", "1.jpg"):
        (patches / "two words" / patch).symlink_to(f"../-0JUKIuzqn4/{patch}")
    listed = patches.parent / "windows.txt"
    for patch in ("0.jpg", "1.jpg"):
        shutil.copy(patches / "-0JUKIuzqn4" / patch, patches)
    rows = [*lines(), "two words/0.jpg\t99 ", "two words/1.jpg   99", "./0.jpg -3", "./1.jpg -3"]
    listed.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*rows, "", ""]).encode())
    out = patches.parent / "pairs.arrow"
    assert import_pairs(patches, listed, out).pairs == 11
    assert [PairShard(out)[row].video for row in (9, 10)] == ["two words", "-3"]
    assert PairShard(out)[0].video == "-0JUKIuzqn4"


def test_shards_hold_whole_videos_and_together_all_pairs(patches: Path) -> None:
    listed, out = write_list(patches, lines()), patches.parent / "pairs"
    done = import_pairs(patches, listed, out, shards=2)
    assert sorted(path.name for path in out.iterdir()) == ["000.arrow", "001.arrow"]
    shards = [PairShard(path) for path in sorted(out.iterdir())]
    videos = [{pair.video for pair in shard} for shard in shards]
    assert not videos[0] & videos[1]
    single, _ = bring_in(patches, lines())
    number = [pair.first_frame for shard in shards for pair in shard]
    assert sorted(number) == list(range(len(PairShard(single)))) and done.pairs == 9
    with pytest.raises(InputError, match="pairs: it exists"):
        import_pairs(patches, listed, out, shards=2)
    merged = patches.parent / "sets.parquet"
    assert command("merge-pairs", *sorted(out.iterdir()), "--out", merged).output.startswith("9 ")


def test_a_failed_import_leaves_no_shards(patches: Path) -> None:
    missing(patches)
    with pytest.raises(InputError):
        import_pairs(patches, write_list(patches, lines()), patches.parent / "pairs", shards=2)
    assert leftovers(patches.parent) == ["trainlist.txt"]


def test_the_order_of_a_set_does_not_depend_on_shards_or_threads(patches: Path) -> None:
    root = patches.parent
    one, _ = bring_in(patches, lines(), threads=1)
    import_pairs(patches, write_list(patches, lines()), root / "pairs", shards=3, threads=4)
    sets = []
    for name, shards in (("a", [one]), ("b", sorted((root / "pairs").iterdir()))):
        command("merge-pairs", *shards, "--out", root / name)
        sets.append(pd.read_parquet(root / name)[["video", "first_frame"]].values.tolist())
    assert sets[0] == sets[1]


def test_the_command_counts_what_it_leaves_out(patches: Path) -> None:
    missing(patches)
    cut = patches / "aB3dE5gH7jK/0.jpg"
    cut.write_bytes(cut.read_bytes()[:100])
    rows = lines()
    rows[0] = "nonsense"
    listed, out = write_list(patches, rows), patches.parent / "pairs.arrow"
    text = command("import-pairs", patches, "--list", listed, "--out", out, "--skip-bad").output
    assert "6 pairs from 3 videos" in text
    for reason in ("1 no such file", "1 not a JPEG", "1 not a line `path label`"):
        assert re.search(reason, text)


def test_absent_folders_and_lists_are_named(patches: Path) -> None:
    out = patches.parent / "pairs.arrow"
    with pytest.raises(InputError, match="absent: there is no such folder"):
        import_pairs(patches / "absent", write_list(patches, lines()), out)
    with pytest.raises(InputError, match=r"absent\.txt: there is no such list"):
        import_pairs(patches, patches / "absent.txt", out)
