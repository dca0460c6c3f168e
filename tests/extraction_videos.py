"""Settings and tiny videos for the tests that run the extraction in processes of its own."""

import hashlib
from pathlib import Path

from made_videos import make_video

from features import records

ROOT = Path(__file__).parents[1]


def make_videos(folder: Path, count: int, frames: int) -> None:
    for number in range(count):
        make_video(folder / f"videos/training/{number:02d}.mp4", frames=frames + number % 7)


def assignments(folder: Path, features: str) -> list[str]:
    """Settings with a small network of random weights, as fast to start as any."""
    return [f"paths.data_dir={folder}", "paths.videos_folder=videos", f"paths.feature_map_folder={features}",
            "video.resize=[32, 32]", "video.skip_frames=1", "extractor.backbone=efficientnet_lite0",
            "extractor.weights=random", "extractor.runtime=openvino", "extractor.precision=float32",
            f"extractor.cache_folder={folder}/cache"]  # fmt: skip


def arguments(folder: Path, features: str) -> list[str]:
    return [part for assignment in assignments(folder, features) for part in ("--set", assignment)]


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a feature folder, hidden ones too, but for the lock, which is empty."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def check_whole(folder: Path, count: int) -> None:
    """Every video is there once and can be read to its end."""
    files = sorted((folder / "training").iterdir())
    assert [file.name for file in files] == [f"{number:02d}.tfrecord" for number in range(count)]
    assert [video.id for video in records.read_features(files)] == [f"{number:02d}" for number in range(count)]
