"""What the formats of conversations share: turns with media tokens, and files of rows that are written as they come."""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, BinaryIO, Final, Literal

from curate.publish.base import IMAGE_TOKEN, Config, LeftOut, Medium, Release, Row, Writer, Written
from curate.publish.coordinates import DialectOptions, in_dialect

__all__ = [
    "MEDIA_KEYS",
    "VIDEO_TOKEN",
    "Sheets",
    "alternate",
    "images_of",
    "kind_of",
    "media_lists",
    "opening",
    "paths",
    "render",
    "turns",
    "unfit",
    "videos_of",
]

VIDEO_TOKEN: Final = "<video>"  # noqa: S105
MEDIA_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("images",),
    "video": ("videos",),
    "mixed": ("images", "videos"),
    "text": (),
}
"""Part of a split (`kind_of`): the keys of its media, where these are lists."""
_RESERVED: Final = re.compile(r"<(?:image|video|audio)>")
Kind = Literal["json", "jsonl"]
Rendered = tuple[str, Mapping[str, Any]]
"""Which of the files of a split a row belongs to (empty: the plain one), and the row as an object of JSON."""


def images_of(row: Row) -> list[Medium]:
    """The pictures of a row."""
    return [medium for medium in row.media if not medium.is_video]


def videos_of(row: Row) -> list[Medium]:
    """The videos of a row."""
    return [medium for medium in row.media if medium.is_video]


def opening(row: Row, image: str = f"{IMAGE_TOKEN}\n", video: str = f"{VIDEO_TOKEN}\n") -> str:
    """The tokens of a row's media, in their order."""
    return "".join(video if medium.is_video else image for medium in row.media)


def turns(row: Row) -> list[tuple[str, str]]:
    """Role and text of each turn; the first user turn opens with a token per medium."""
    found = [(turn.role, turn.content) for turn in row.messages]
    lines = f"{IMAGE_TOKEN}\n" * len(row.media)
    first = next(at for at, (role, _) in enumerate(found) if role == "user")
    found[first] = ("user", opening(row) + found[first][1].removeprefix(lines))
    return found


def unfit(row: Row) -> str | None:
    """Why no conversation can be made of a row: media that trainers do not take, tokens or roles out of place."""
    if any(medium.is_volume for medium in row.media):
        return "a volume, which rows of this format cannot show"
    said = [turn.content for turn in row.messages]
    users = [at for at, turn in enumerate(row.messages) if turn.role == "user"]
    if not users or not said[users[0]].startswith(f"{IMAGE_TOKEN}\n" * len(row.media)):
        return "the first question does not open with a token for each of its media"
    said[users[0]] = said[users[0]].removeprefix(f"{IMAGE_TOKEN}\n" * len(row.media))
    if any(_RESERVED.search(text) for text in said):
        return "its text holds a token that trainers read as a medium"
    return None


def alternate(row: Row) -> bool:
    """True where user and assistant take turns, an answer stands last, and a system speaks at most first."""
    roles = [turn.role for turn in row.messages]
    spoken = roles[1:] if roles[0] == "system" else roles
    return len(spoken) % 2 == 0 and spoken == ["user", "assistant"] * (len(spoken) // 2)


class Sheets:
    """Files of rows, opened when their first row comes and closed together; a failure leaves none of them."""

    def __init__(self, writer: Writer, folder: str, kind: Kind) -> None:
        self._writer, self._folder, self._kind = writer, folder, kind
        self._stack = contextlib.ExitStack()
        self._files: dict[str, BinaryIO] = {}
        self.rows: Counter[tuple[str, str]] = Counter()  # (file of its split, split)

    def __enter__(self) -> "Sheets":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._kind == "json":
            for file in self._files.values():
                file.write(b"\n]\n")
        self._stack.__exit__(kind, problem, trace)
        if kind is None:
            for part, split in self.rows:
                self._writer.count(self.path(part, split), self.rows[part, split])

    def path(self, part: str, split: str) -> str:
        """Where the rows of a part of a split lie, relative to the release."""
        return f"{self._folder}/{split}{part and f'_{part}'}.{self._kind}"

    def add(self, part: str, split: str, row: Mapping[str, Any]) -> None:
        """Write a row, with its keys in the order in which they stand."""
        path = self.path(part, split)
        text = json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
        if path not in self._files:
            self._files[path] = self._stack.enter_context(self._writer.create(path))
            self._files[path].write(b"[\n" + text if self._kind == "json" else text + b"\n")
        else:
            self._files[path].write(b",\n" + text if self._kind == "json" else text + b"\n")
        self.rows[part, split] += 1

    def configs(self, name: str, splits: tuple[str, ...]) -> tuple[Config, ...]:
        """One configuration per part, so that all rows of one have one schema; the plain one bears the name."""
        parts = dict.fromkeys(sorted(part for part, _ in self.rows))
        return tuple(
            Config(
                name=f"{name}{part and f'-{part}'}",
                data_files={split: self.path(part, split) for split in splits if (part, split) in self.rows},
            )
            for part in parts
        )


def render(
    release: Release,
    writer: Writer,
    *,
    name: str,
    kind: Kind,
    options: DialectOptions,
    make: Callable[[Row], Rendered | str],
    register: Callable[[Sheets], None] = lambda sheets: None,
) -> Written:
    """Write every row that `make` can render; it gives a reason for the others, which are counted by it.

    `register` writes what describes the files, once they are whole.
    """
    reasons: Counter[str] = Counter()
    with Sheets(writer, name, kind) as sheets:
        for row in release.rows():
            rendered = _rendered(row, options, make)
            if isinstance(rendered, str):
                reasons[rendered] += 1
            else:
                sheets.add(rendered[0], row.split, rendered[1])
    register(sheets)
    return Written(
        format=name,
        rows=sheets.rows.total(),
        left_out=LeftOut.of(reasons),
        configs=sheets.configs(name, release.splits),
    )


def _rendered(row: Row, options: DialectOptions, make: Callable[[Row], Rendered | str]) -> Rendered | str:
    reason = unfit(row)
    if reason is not None:
        return reason
    spoken = in_dialect(row, options)
    return spoken if isinstance(spoken, str) else make(spoken)


def kind_of(row: Row) -> str:
    """The part of a split in which rows have the media keys of this one: pictures (empty), `video`, `mixed`, `text`.

    Rows of one file have the same keys, for a loader that infers them from the first megabytes refuses others later.
    """
    shows = bool(images_of(row)), bool(videos_of(row))
    return {(True, False): "", (False, True): "video", (True, True): "mixed", (False, False): "text"}[shows]


def media_lists(row: Row) -> dict[str, list[str]]:
    """The paths of a row's media by the keys of its part, see `MEDIA_KEYS`."""
    listed = {"images": images_of(row), "videos": videos_of(row)}
    return {key: paths(listed[key]) for key in MEDIA_KEYS[kind_of(row)]}


def paths(media: Iterable[Medium]) -> list[str]:
    """The paths of media, relative to the release."""
    return [medium.path for medium in media]
