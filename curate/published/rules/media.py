"""Media of a row: tokens against lists, paths that only their author has, files that are missing or of another size."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from curate.published.record import ASSISTANT, Record
from curate.published.report import Finding, RuleDoc
from curate.published.rules.base import Kinds, Scope

__all__ = ["ABSOLUTE_PATH", "Files", "Paths", "Tokens", "is_absolute", "is_remote"]

_TOKENS = RuleDoc(
    "media_tokens",
    "error",
    "A row has as many `<image>`, `<video>` and `<audio>` tokens as it lists images, videos and sounds.",
    "LLaMA-Factory raises on the first row that differs.",
)
_IN_ANSWER = RuleDoc(
    "token_in_answer",
    "error",
    "No answer holds a literal `<image>`, `<video>` or `<audio>` token.",
    "Collators count it as a medium, or the model learns to say it.",
)
_SLOTS = RuleDoc(
    "object_placeholders",
    "error",
    "A row has as many `<ref-object>` and `<bbox>` placeholders as its `objects` lists.",
    "ms-swift fills them in order (its guide to custom datasets).",
)
ABSOLUTE_PATH = RuleDoc(
    "absolute_path",
    "error",
    "Paths of media are relative to a folder that the user names.",
    "An absolute path exists on the machine of its author only.",
)
_MISSING = RuleDoc("missing_media", "error", "Every medium that a row names exists.", "A loader stops at the first.")
_SIZE = RuleDoc(
    "image_size",
    "error",
    "A recorded width and height are those of the file.",
    "Boxes in pixels are scaled by them.",
)
TOKENS: Final = ("image", "video", "audio")
_PLACEHOLDERS: Final = {"ref": "<ref-object>", "bbox": "<bbox>"}
_DRIVE: Final = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_REMOTE: Final = re.compile(r"(?i)(https?|s3|gs|hf|oss|petrel|data):")


def is_absolute(path: str) -> bool:
    """True for a path from the root of some machine, or from a home folder."""
    return path.startswith(("/", "~/", "file:/")) or _DRIVE.match(path) is not None


def is_remote(path: str) -> bool:
    """True for an address, and for a picture within its address."""
    return _REMOTE.match(path) is not None and _DRIVE.match(path) is None


class Tokens:
    """`media_tokens`, `token_in_answer` and `object_placeholders`."""

    def __init__(self, scope: Scope) -> None:
        self.kinds, self.slots = Kinds(_TOKENS, scope), Kinds(_SLOTS, scope)
        self.answers = Kinds(_IN_ANSWER, scope)
        self.any_token = False

    def see(self, record: Record) -> None:
        """Look at a row."""
        if not record.turns and record.shape != "preference":
            return
        self.kinds.of += 1
        self.answers.of += 1
        texts = [turn.text for turn in record.turns if turn.text] or [record.question or ""]
        said = [turn.text for turn in record.turns if turn.role == ASSISTANT and turn.text]
        said += [text for text in (record.chosen, record.rejected) if text and not record.turns]
        for medium in TOKENS:
            token = f"<{medium}>"
            tokens = sum([text.count(token) for text in texts])
            self.any_token |= tokens > 0
            if tokens != len(record.media.get(medium, ())):
                self.kinds.hit("no token" if not tokens else "differs", record.locator)
                break
        if any(f"<{medium}>" in text for text in said for medium in TOKENS):
            self.answers.hit("answer", record.locator)
        self._see_objects(record, texts)

    def _see_objects(self, record: Record, texts: list[str]) -> None:
        if record.objects is None:
            return
        self.slots.of += 1
        for name, listed in record.objects.items():
            if sum(text.count(_PLACEHOLDERS[name]) for text in texts) != listed:
                self.slots.hit("differs", record.locator)
                return

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        messages = {"differs": "the number of media tokens is not the number of media listed"}
        if self.any_token:
            messages["no token"] = "media are listed, and no token says where they belong"
        yield from self.kinds.findings(messages)
        if not self.any_token:
            message = "no row has a media token: these rows fit only loaders that put media before the text"
            yield from self.kinds.findings({"no token": message}, severity="note")
        yield from self.answers.findings({"answer": "a literal media token within an answer"})
        yield from self.slots.findings({"differs": "placeholders of objects and the listed objects differ in number"})


class Paths:
    """`absolute_path`."""

    def __init__(self, scope: Scope) -> None:
        self.kinds = Kinds(ABSOLUTE_PATH, scope)

    def see(self, record: Record) -> None:
        """Look at a row."""
        paths = [path for listed in record.media.values() for path in listed if path]
        if paths:
            self.kinds.of += 1
            if any(is_absolute(path) for path in paths):
                self.kinds.hit("absolute", record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        yield from self.kinds.findings({"absolute": "rows name a medium by an absolute path"})


class Files:
    """`missing_media` and `image_size`: only where somebody says in which folder the media lie."""

    def __init__(self, scope: Scope) -> None:
        self.missing, self.size = Kinds(_MISSING, scope), Kinds(_SIZE, scope)
        self._scope = scope
        self._known: dict[str, bool] = {}

    def see(self, record: Record) -> None:
        """Look at a row."""
        folder = self._scope.images
        paths = [path for listed in record.media.values() for path in listed if path and not is_remote(path)]
        if folder is None or not paths:
            return
        self.missing.of += 1
        found = [located(folder, path) for path in paths]
        if any(path is None for path in found):
            self.missing.hit("missing", record.locator)
        if record.size is not None and len(record.images) == 1 and found[0] is not None:
            self.size.of += 1
            real = image_size(found[0])
            if real is None:
                self.missing.hit("unreadable", record.locator)
            elif real != record.size:
                self.size.hit("turned" if real == record.size[::-1] else "differs", record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        yield from self.missing.findings(
            {
                "missing": "rows name a medium that is not in the folder",
                "unreadable": "rows name an image that does not open",
            }
        )
        yield from self.size.findings(
            {"differs": "the recorded width and height are not the file's", "turned": "width and height are exchanged"}
        )


def located(folder: Path, path: str) -> Path | None:
    """The file that a path names below a folder: as it is, or by its last parts; null where there is none."""
    if "\0" in path:
        return None
    parts = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    for first in range(len(parts)):
        candidate = folder.joinpath(*parts[first:])
        try:
            if candidate.is_file():
                return candidate
        except (OSError, ValueError):
            return None
    return None


def image_size(path: Path) -> tuple[float, float] | None:
    """Width and height by the header alone; null where no decoder knows it."""
    from PIL import Image

    from curate.images.base import quiet

    with quiet():
        try:
            with Image.open(path) as image:
                return float(image.width), float(image.height)
        except Exception:  # (decoders raise whatever they meet)
            return None
