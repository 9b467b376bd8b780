"""Clips by name or path: `load("video/test")`, `load("holiday.mp4")`, `load("frames/")`, decoded as they are asked for.

Named clips lie under the data root in `video/`, which `video/clips.json` describes: `video/train`, `video/val` and
`video/test` are all clips of a part, `video/NAME` is one clip or montage. `synthetic` is the suite of that module,
`synthetic/NAME` one of it. Plus signs join names: `video/foreman+mallard`. A folder holds clips, or pictures that are
the frames of one. Behind @ follow size and, if fewer are wanted, frames: `video/test@128`, `video/test@192x256x96`
(height, width, frames), and behind a comma how many frames there are in a second at most: `video/test@128,10fps`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semlink.channels.base.names import did_you_mean
from semlink.simulator.data import SAMPLES, pictures, root, synthetic
from semlink.simulator.data import load as load_pictures
from semlink.simulator.data.clip_source import Source
from semlink.simulator.data.frame_rate import Slower, slower
from semlink.simulator.data.spread import spread
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import is_here, read_json, reading
from semlink.simulator.video import Clip

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

PARTS = ("train", "val", "test")
SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".264", ".h264", ".265", ".hevc", ".y4m", ".mpg")
)
FPS = 25.0  # of what does not tell
SIZE = (128, 128)
MAY_SHIP = frozenset(("bunny", "bunny_open", "motorway", "drive"))  # CC BY 3.0 (Blender Foundation), and MIT
SPEC = re.compile(r"(\d+(?:x\d+){0,2})(?:,(\d+(?:\.\d+)?)fps)?")
DAMAGED = "no description of clips; unpack the data again"


@dataclass(frozen=True)
class FileSource:
    """A video file, or part of it from frame `start` on."""

    path: Path
    fps: float
    frames: int
    cuts: tuple[int, ...] = ()
    start: int = 0
    name: str = ""

    def read(self, height: int, width: int) -> Iterator[np.ndarray]:
        """uint8 frames `[height, width, 3]`. SemlinkError for a file that is damaged or too short."""
        count = 0
        for image in islice(decoded(self.path), self.start, self.start + self.frames):
            yield scaled(image, height, width)
            count += 1
        if count < self.frames:
            raise SemlinkError(f"{self.path}: {count} frames from {self.start} on, not {self.frames}; get it again")


@dataclass(frozen=True)
class PictureSource:
    """Picture files as the frames of a clip."""

    paths: tuple[Path, ...]
    name: str
    fps: float = FPS
    cuts: tuple[int, ...] = ()

    @property
    def frames(self) -> int:
        """As many as there are files."""
        return len(self.paths)

    def read(self, height: int, width: int) -> Iterator[np.ndarray]:
        """uint8 frames `[height, width, 3]`."""
        from PIL import Image

        for path in self.paths:
            levels = (pictures.read(path).transpose(1, 2, 0) * 255).round().astype(np.uint8)
            yield scaled(Image.fromarray(levels), height, width)


@dataclass(frozen=True)
class Montage:
    """Parts of clips one after another; a cut is where two of them meet."""

    parts: tuple[FileSource, ...]
    name: str
    fps: float = FPS

    @property
    def frames(self) -> int:
        """Of all parts."""
        return sum(part.frames for part in self.parts)

    @property
    def cuts(self) -> tuple[int, ...]:
        """First frames of parts."""
        return tuple(np.cumsum([part.frames for part in self.parts])[:-1].tolist())

    def read(self, height: int, width: int) -> Iterator[np.ndarray]:
        """uint8 frames `[height, width, 3]`."""
        for part in self.parts:
            yield from part.read(height, width)


@dataclass(frozen=True)
class SyntheticSource:
    """A clip of the synthetic suite, made of photographs that come with scikit-image."""

    scene: str
    fps: float = synthetic.FPS
    frames: int = synthetic.FRAMES

    @property
    def name(self) -> str:
        """Of the scene."""
        return self.scene

    @property
    def cuts(self) -> tuple[int, ...]:
        """First frames of new shots."""
        return synthetic.SCENES[self.scene].cuts

    def read(self, height: int, width: int) -> Iterator[np.ndarray]:
        """uint8 frames `[height, width, 3]`."""
        files: Any = load_pictures("samples").items
        first, second, *_ = synthetic.photographs(tuple(str(files.folder / name) for name in SAMPLES[:2]))
        return synthetic.SCENES[self.scene].frames((first, second), height, width)


@dataclass(frozen=True)
class OneClip:
    """A source at a size. `frames()` reads it anew each time."""

    source: Source
    clip: Clip

    @property
    def cuts(self) -> tuple[int, ...]:
        """Those within its length."""
        return tuple(cut for cut in self.source.cuts if cut < (self.clip.frames or 0))

    def levels(self) -> Iterator[np.ndarray]:
        """uint8 frames `[H, W, 3]`."""
        return islice(self.source.read(self.clip.height, self.clip.width), self.clip.frames)

    def frames(self) -> Iterator[Tensor]:
        """float32 frames `[3, H, W]` in [0, 1]."""
        import torch

        for frame in self.levels():
            yield torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1))).float() / 255


@dataclass(frozen=True)
class Clips:
    """Clips of one size, as a data set whose items are clips. frames: at most so many of each, or None for all."""

    sources: tuple[Source, ...]
    height: int
    width: int
    most: int | None = None

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def ids(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(source.name for source in self.sources)

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(H, W) of each."""
        return ((self.height, self.width),) * len(self.sources)

    def __getitem__(self, index: int) -> OneClip:
        source = self.sources[index]
        frames = min(source.frames, self.most or source.frames)
        return OneClip(source, Clip(self.height, self.width, source.fps, frames))

    def __iter__(self) -> Iterator[OneClip]:
        return (self[i] for i in range(len(self)))

    def batch(self, indices: Sequence[int]) -> Tensor:
        """The first frame of each, float32 `[n, 3, H, W]`."""
        import torch

        return torch.stack([next(self[i].frames()) for i in indices])


def load(text: str, limit: int | None = None) -> Clips:
    """The clips of a name or path with its size; limit: use only so many, spread over them.

    SemlinkError that says what is there when there are none of that name.
    """
    data, height, width, most, fps = read_spec(text)
    sources = tuple(slower(source, fps) for source in _sources(data))
    if limit is not None and limit < len(sources):
        sources = tuple(sources[i] for i in spread(len(sources))[:limit])
    return Clips(sources, height, width, most)


def held_out(data: str) -> tuple[str, ...]:
    """Names of those clips, of a name or path without a size, that are of the test part: not for training."""
    held = root() / "video" / "test"
    parts = {source.name: getattr(source, "parts", (source,)) for source in _sources(data)}
    return tuple(n for n, own in parts.items() if any(getattr(p, "path", Path()).parent == held for p in own))


def montages(part: str) -> tuple[str, ...]:
    """Names of the montages of a part of the named clips."""
    return tuple(name for name, own in _described(root() / "video")["montages"].items() if own["split"] == part)


def may_ship(source: Source) -> bool:
    """Whether pictures of it may be passed on; of files of a user's own that is theirs to know."""
    if isinstance(source, Montage):
        return all(map(may_ship, source.parts))
    if isinstance(source, Slower):
        return may_ship(source.source)
    named = getattr(source, "path", Path()).parent.parent == root() / "video"
    return source.name in MAY_SHIP or not named


def with_size(data: str, size: str, frames: int | None, fps: float | None = None) -> str:
    """A name of clips with the size of their frames, a side or HEIGHTxWIDTH, and their number and how many pass in a
    second, where these are given."""
    rate = f",{fps:g}fps" if fps else ""
    return f"{data}@{size if 'x' in size else f'{size}x{size}'}" + (f"x{frames}" if frames else "") + rate


def read_spec(text: str) -> tuple[str, int, int, int | None, float | None]:
    """Name or path, height, width, frames, and frames per second, of `NAME@SIZE`. SemlinkError for what is no size."""
    data, at, told = text.rpartition("@")
    if not at:
        return text, *SIZE, None, None
    found = SPEC.fullmatch(told)
    numbers = found[1].split("x") if found else ["0"]
    if not found or not all(map(int, numbers)) or (found[2] and float(found[2]) <= 0):
        raise SemlinkError(
            f"{text}: behind @ follows a size such as 128, 192x256 or 192x256x96 (height, width, frames), and 10 "
            "frames per second as 128,10fps"
        )
    height = int(numbers[0])
    width = int(numbers[1]) if len(numbers) > 1 else height
    return data, height, width, int(numbers[2]) if len(numbers) > 2 else None, float(found[2]) if found[2] else None


def scaled(image: Image, height: int, width: int) -> np.ndarray:
    """The largest centred crop of that shape, by Lanczos: uint8 `[height, width, 3]`."""
    from PIL import Image as Images

    step = min(image.height / height, image.width / width)
    tall, wide = int(height * step + 1e-6), int(width * step + 1e-6)
    left, top = (image.width - wide) // 2, (image.height - tall) // 2
    crop = image.convert("RGB").crop((left, top, left + wide, top + tall))
    return np.array(crop.resize((width, height), Images.Resampling.LANCZOS))


def decoded(path: Path) -> Iterator[Image]:
    """All frames of a video file. SemlinkError that names a file that is none or is damaged."""
    import av

    with readable(path), av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            yield frame.to_image()


def readable(path: Path) -> reading:
    """What libraries raise on a video as one line. SemlinkError where there is none."""
    if not is_here(path):
        raise SemlinkError(f"{path}: not a readable video (no such file)")
    return reading(path, "not a readable video")


def _sources(data: str) -> tuple[Source, ...]:
    head, _, name = data.partition("/")
    if head == "synthetic":
        scenes = tuple(synthetic.SCENES)
        return tuple(SyntheticSource(s) for one in name.split("+") for s in _chosen("synthetic", one, scenes))
    if head == "video":
        return tuple(source for one in name.split("+") for source in _named(one))
    path = Path(data).expanduser()
    if path.is_file():
        return (_file(path),)
    if path.is_dir():
        return _folder(path)
    meant = did_you_mean(data, known())
    raise SemlinkError(f"{data}: no such file, folder or set of clips; {meant}known: {', '.join(known())}")


def known() -> tuple[str, ...]:
    """Names of sets of clips."""
    return (*(f"video/{part}" for part in PARTS), "synthetic")


def _chosen(kind: str, name: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if name and name not in names:
        raise SemlinkError(f"{kind}/{name}: {did_you_mean(name, names)}known: {', '.join(names)}")
    return (name,) if name else names


def _named(name: str) -> tuple[Source, ...]:
    place = root() / "video"
    with reading(place / "clips.json", DAMAGED):
        return _in_set(place, _described(place), name)


def _in_set(place: Path, told: dict[str, Any], name: str) -> tuple[Source, ...]:
    if name in PARTS:
        return tuple(_clip(place, told, clip) for clip, own in told["clips"].items() if own["split"] == name)
    names = (*PARTS, *told["clips"], *told["montages"])
    if not name or name not in names:
        raise SemlinkError(f"video/{name}: {did_you_mean(name, names)}known: {', '.join(names)}")
    if name in told["clips"]:
        return (_clip(place, told, name),)
    parts = ((clip, start, frames) for clip, start, frames in told["montages"][name]["parts"])
    cut = (replace(_clip(place, told, clip), start=start, frames=frames, cuts=()) for clip, start, frames in parts)
    return (Montage(tuple(cut), name),)


def _clip(place: Path, told: dict[str, Any], name: str) -> FileSource:
    own = told["clips"][name]
    path = place / own["split"] / own["file"]
    return FileSource(path, float(own["fps"]), int(own["frames"]), tuple(own["cuts"]), name=name)


@lru_cache(maxsize=4)
def _described(place: Path) -> dict[str, Any]:
    if not (place / "clips.json").is_file():
        raise SemlinkError(f"no {place / 'clips.json'}; unpack the video data there or set SEMLINK_DATA")
    return read_json(place / "clips.json", DAMAGED)


def _folder(path: Path) -> tuple[Source, ...]:
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    videos = [p for p in files if p.suffix.lower() in SUFFIXES]
    frames = tuple(p for p in files if p.suffix.lower() in pictures.SUFFIXES)
    if videos:
        return tuple(map(_file, videos))
    if frames:
        return (PictureSource(frames, path.name),)
    raise SemlinkError(f"{path}: neither videos nor pictures in this folder (subfolders are not searched)")


def _file(path: Path) -> FileSource:
    """A file of unknown length; where it does not tell, its frames are counted."""
    import av

    with readable(path), av.open(str(path)) as container:
        stream = container.streams.video[0]
        fps, frames = float(stream.average_rate or FPS), stream.frames
    frames = frames or sum(1 for _ in decoded(path))
    if not frames:
        raise SemlinkError(f"{path}: a video without a frame")
    return FileSource(path, fps, frames, name=path.name)
