"""Rows and releases put together by hand, for what no small corpus holds: several pictures, Chinese, odd words."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from curate.publish.base import Medium, Release, Row
from curate.rows import Message, Subject
from curate.schema import Form, Origin, identity
from curate.store.place import Place

FORM = "Answer with a JSON list of boxes [x0, y0, x1, y1] in pixels; the image is 640 pixels wide and 480 pixels high."
FORM_ZH = "请用像素坐标的 JSON 列表回答，每个框写作 [x0, y0, x1, y1]；图像宽 640 像素，高 480 像素。"


def medium(name: str = "a", **changed: Any) -> Medium:
    """A JPEG of 640 x 480 pixels."""
    known: dict[str, Any] = {
        "asset_id": identity("asset", name),
        "path": f"images/hand/{identity(name)[:2]}/{name}.jpeg",
        "media_type": "image/jpeg",
        "sha256": identity("bytes", name),
        "form": Form.IMAGE,
        "width": 640,
        "height": 480,
        "source": "hand",
        "licence": "CC0-1.0",
        "item_key": f"{name}.jpg",
        "group_id": identity("group", name),
    }
    return Medium(**known | changed)


def video(name: str = "clip") -> Medium:
    """A Matroska file."""
    return medium(name, media_type="video/matroska", form=Form.VIDEO, path=f"videos/hand/aa/{name}.mkv")


def row(question: str, answer: str, *, media: tuple[Medium, ...] | None = None, **changed: Any) -> Row:
    """A row of one exchange about one picture."""
    shown = (medium(),) if media is None else media
    known: dict[str, Any] = {
        "pair_id": identity("pair", question, answer),
        "source": "hand",
        "task": "open_vqa",
        "variant": 0,
        "split": "train",
        "language": "en",
        "origin": Origin.TEMPLATE,
        "wording": "open_vqa@1/modality/0.0",
        "licence": "CC0-1.0",
        "annotation_ids": (),
        "messages": (Message("user", "<image>\n" * len(shown) + question), Message("assistant", answer)),
        "media": shown,
        "constraints": {},
    }
    return Row(**known | changed)


def located(boxes: str = "[[1, 2, 30, 40]]", *, form: str = FORM, **changed: Any) -> Row:
    """A row that asks for boxes."""
    known: dict[str, Any] = {
        "task": "grounding",
        "constraints": {"ask": "locate", "concept": "erythrocyte"},
        "slots": {"boxes": boxes, "form": form, "things": "erythrocytes"},
        "fixed": ("boxes", "form"),
    }
    return row(f"Locate all erythrocytes in this image. {form}", boxes, **known | changed)


@dataclass(frozen=True)
class Held:
    """Rows that are held in memory."""

    held: tuple[Row, ...]

    def rows(self, split: str | None) -> Iterator[Row]:
        return (one for one in self.held if split in (None, one.split))

    def media(self) -> Iterator[Medium]:
        return iter({one.asset_id: one for row in self.held for one in row.media}.values())

    def medium_bytes(self, media: Iterable[Medium]) -> Iterator[tuple[Medium, bytes]]:
        for one in media:
            yield one, one.asset_id.encode()

    def volume_files(self, medium: Medium) -> Iterator[tuple[str, Place]]:
        return iter(())

    def annotated(self, split: str | None) -> Iterator[tuple[Row, tuple[Subject, ...]]]:
        return ((one, ()) for one in self.rows(split))


def release_of_rows(*rows: Row) -> Release:
    """A release of these rows."""
    counts = dict(Counter(one.split for one in rows))
    return Release(
        name="by hand",
        splits=tuple(counts),
        rows_in=counts,
        cards={},
        withheld={},
        licence="CC0-1.0",
        reader=Held(rows),
    )
