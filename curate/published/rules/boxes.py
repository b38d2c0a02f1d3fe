"""Boxes in fields and in answers: their order, their range, which image they lie in, and how many there should be."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from curate.published.record import ASSISTANT, USER, Record
from curate.published.report import Finding, RuleDoc
from curate.published.rules.base import Kinds, Scope

__all__ = ["AnswerBoxes", "FieldBoxes", "NumberWords"]

_DEGENERATE = RuleDoc(
    "degenerate_box",
    "error",
    "A box has x1 < x2 and y1 < y2.",
    "A box without area overlaps with nothing. A zero box that stands for `none` is one: absence needs its own mark.",
)
_RANGE = RuleDoc(
    "box_out_of_range",
    "error",
    "A coordinate is within the range that its notation has: 0 to 999 or 1000, 0 to 1, or the size of the image.",
    "Marked boxes and `<loc_>` tokens: up to 1000, or what the question states; pixels: the recorded size.",
)
_ABSENT = RuleDoc(
    "absent_box",
    "note",
    "Rows with masks and prompts of regions say where the regions are.",
    "medvlsm's files differ here.",
)
_ORDINAL = RuleDoc(
    "image_ordinal",
    "error",
    "An image that an answer names by its ordinal exists.",
    "There is no fourth of three images.",
)
_UNPARSED = RuleDoc(
    "missing_box",
    "error",
    "An answer to a question for a box has one.",
    "A parser of boxes finds nothing to learn from.",
)
_REFERRED = RuleDoc(
    "referred_name",
    "error",
    "The object that a question refers to is one of the image that the answer names.",
    "Judged by the path of the image, where most paths of the file hold the names of their objects.",
)
_NUMBER = RuleDoc(
    "number_word",
    "error",
    "A text or field that says how many objects there are has as many boxes.",
    "A prompt is judged where the row has one box, a field `count` wherever there are boxes.",
)

_NUMBER_TEXT: Final = r"-?\d+(?:\.\d+)?"
_PAIRS: Final = re.compile(
    rf"\(\s*({_NUMBER_TEXT})\s*,\s*({_NUMBER_TEXT})\s*\)\s*,\s*\(\s*({_NUMBER_TEXT})\s*,\s*({_NUMBER_TEXT})\s*\)"
)
_QUAD: Final = re.compile(
    rf"\[\s*({_NUMBER_TEXT})\s*,\s*({_NUMBER_TEXT})\s*,\s*({_NUMBER_TEXT})\s*,\s*({_NUMBER_TEXT})\s*\]"
)
_LOC: Final = re.compile(r"<loc_?(\d+)>\s*<loc_?(\d+)>\s*<loc_?(\d+)>\s*<loc_?(\d+)>")
_MARKED: Final = re.compile(r"<\|box_start\|>(.*?)<\|box_end\|>|<box>(.*?)</box>|<bbox>(.*?)</bbox>", re.DOTALL)
_OPENED: Final = re.compile(r"<\|box_start\|>|<box>|<bbox>(?=\s*[\[(])")
_ASKS_BOX: Final = re.compile(r"bounding box|\bbbox\b|\bboxes\b|coordinates of|边界框|检测框|坐标", re.IGNORECASE)
_ASKS_POINT: Final = re.compile(r"^(?!.*(?:box|框)).*(?:\bpoints?\b|点)", re.IGNORECASE | re.DOTALL)
_BOX_STEMS: Final = ("box", "coordinates", "框", "坐标")
_RANGE_SAID: Final = re.compile(
    r"(?:from|between) 0 (?:to|and) (\d{1,5})|0 ?(?:到|至|~|-|–) ?(999|1000)\b", re.IGNORECASE
)
_REF: Final = re.compile(r"<\|object_ref_start\|>(.*?)<\|object_ref_end\|>|<ref>(.*?)</ref>", re.DOTALL)
_ORDINALS: Final = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_CHINESE: Final = "一二三四五六七八九十"
_ORDINAL_SAID: Final = re.compile(
    rf"\b({'|'.join(_ORDINALS)}) (?:image|picture|frame|scan|slice|view)\b"
    r"|\b(?:image|picture)[ -]?(\d{1,2})\b(?! (?:of|x)\b)"
    rf"|第([{_CHINESE}]|\d{{1,2}})(?:张|幅|个)?(?:图|影像|图像|图片)",
    re.IGNORECASE,
)
_FEW: Final = re.compile(
    r"^\s*(?:two|three|four|multiple|many|several)\b|^\s*(?:两|二|三|四|多|数)(?:个|处|枚|块)", re.IGNORECASE
)
_MORE: Final = re.compile(r"^\s*(?:five|six|seven|eight|nine|ten)\b|^\s*[五六七八九十](?:个|处|枚|块)", re.IGNORECASE)
_NOT_NAME: Final = re.compile(r"[^a-z0-9\u4e00-\u9fff]+")


@dataclass(frozen=True, slots=True)
class _Said:
    """A box in a text; `limit` is the largest coordinate that its notation allows, null where it is pixels."""

    coords: tuple[float, ...]
    limit: float | None


def _said(text: str, asked: str, *, asks: bool) -> list[_Said]:
    stated = _RANGE_SAID.search(asked)
    limit = float(next(filter(None, stated.groups()))) if stated else None
    found = [_Said(tuple(map(float, one.groups())), 1000.0) for one in _LOC.finditer(text)]
    for marked in _MARKED.finditer(text):
        inner = next(filter(None, marked.groups()), "")
        for pattern in (_PAIRS, _QUAD):
            for one in pattern.finditer(inner):
                found.append(_limited(one, limit or 1000.0))
    if not found and ("[" in text) and ("box" in text or asks):
        found = [_limited(one, limit) for one in _QUAD.finditer(text)]
    return found


def _limited(found: "re.Match[str]", limit: float | None) -> _Said:
    coords = tuple(map(float, found.groups()))
    fractions = "." in found[0] and max(coords) <= 1.5
    return _Said(coords, 1.0 if fractions else limit)


def _is_degenerate(coords: tuple[float, ...]) -> bool:
    return coords[2] <= coords[0] or coords[3] <= coords[1]


class AnswerBoxes:
    """`degenerate_box`, `box_out_of_range`, `image_ordinal`, `missing_box` and `referred_name` in answers."""

    def __init__(self, scope: Scope) -> None:
        self.shape, self.range = Kinds(_DEGENERATE, scope), Kinds(_RANGE, scope)
        self.ordinal, self.missing = Kinds(_ORDINAL, scope), Kinds(_UNPARSED, scope)
        self.referred = Kinds(_REFERRED, scope)

    def see(self, record: Record) -> None:
        """Look at a row."""
        for number, (asked, answer) in enumerate(_exchanges(record), 1):
            locator = record.locator if number == 1 else f"{record.locator}, answer {number}"
            named = any(stem in asked.lower() for stem in _BOX_STEMS) and _ASKS_BOX.search(asked) is not None
            # A question that gives a box asks what it holds, and coordinates of points are no boxes.
            asks = named and not _said(asked, asked, asks=True) and not _ASKS_POINT.search(asked)
            boxes = _said(answer, asked, asks=asks) if asks or "<" in answer or "[" in answer else []
            self._see_boxes(record, boxes, locator)
            if asks:
                self.missing.of += 1
                if not boxes:
                    self.missing.hit("opened" if _OPENED.search(answer) else "none", locator)
            if boxes or len(record.images) > 1:
                self._see_place(record, asked, answer, locator)

    def _see_boxes(self, record: Record, boxes: list[_Said], locator: str) -> None:
        for box in boxes:
            self.shape.of += 1
            self.range.of += 1
            if _is_degenerate(box.coords):
                self.shape.hit("answer", locator)
            low, high = min(box.coords), max(box.coords)
            beyond = box.limit is not None and high > box.limit
            pixels = box.limit is None and record.size is not None
            outside = pixels and record.size is not None and _beyond(box.coords, record.size)
            if low < 0 or beyond or outside:
                self.range.hit("answer", locator)

    def _see_place(self, record: Record, asked: str, answer: str, locator: str) -> None:
        ordinals = list(_ordinals(answer))
        if not ordinals:
            return
        self.ordinal.of += 1
        if max(ordinals) > max(len(record.images), 1):
            self.ordinal.hit("beyond", locator)
            return
        names = [_flat(next(filter(None, one), "")) for one in _REF.findall(asked)]
        names = [name for name in names if name]
        if len(ordinals) == 1 and len(names) == 1 and record.images:
            self.referred.of += 1
            if names[0] not in _flat(record.images[ordinals[0] - 1]):
                self.referred.hit("elsewhere", locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        yield from self.shape.findings({"answer": "boxes in answers with x2 <= x1 or y2 <= y1"})
        yield from self.range.findings({"answer": "boxes in answers with a coordinate out of their range"})
        yield from self.ordinal.findings({"beyond": "answers name an image beyond the images of their row"})
        if self.missing.of and 2 * sum(one.count for one in self.missing.by_kind.values()) < self.missing.of:
            yield from self.missing.findings(
                {"none": "a box is asked for and the answer has none", "opened": "a mark of a box with no four numbers"}
            )
        elsewhere = self.referred.by_kind.get("elsewhere")
        if elsewhere and 2 * elsewhere.count < self.referred.of:
            yield from self.referred.findings({"elsewhere": "the named object is not that of the named image's path"})


def _exchanges(record: Record) -> Iterator[tuple[str, str]]:
    if not record.turns:
        final = record.final
        if final is not None:
            yield record.question or "", final
        return
    asked = ""
    for turn in record.turns:
        if turn.role == USER:
            asked = turn.text or ""
        elif turn.role == ASSISTANT and turn.text:
            yield asked, turn.text
    if record.chosen is not None and record.turns[-1].role == USER:
        yield asked, record.chosen


def _ordinals(text: str) -> Iterator[int]:
    for word, digits, chinese in _ORDINAL_SAID.findall(text):
        if word:
            yield _ORDINALS.index(word.lower()) + 1
        elif digits:
            yield int(digits)
        else:
            yield int(chinese) if chinese.isdigit() else _CHINESE.index(chinese) + 1


def _flat(text: str) -> str:
    return _NOT_NAME.sub("", text.lower())


def _beyond(coords: tuple[float, ...], size: tuple[float, float]) -> bool:
    return max(coords[0], coords[2]) > size[0] or max(coords[1], coords[3]) > size[1]


class FieldBoxes:
    """`degenerate_box`, `box_out_of_range` and `absent_box` in fields.

    Four numbers may be corners or, as in COCO, a corner and a size. They are taken as corners unless the rows have
    COCO's own keys, or more than a third of them make no sense as corners and fewer as corner and size.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.corners, self.sizes = Kinds(_DEGENERATE, scope), Kinds(_DEGENERATE, scope)
        self.range, self.absent = Kinds(_RANGE, scope), Kinds(_ABSENT, scope)
        self._coco = False

    def see(self, record: Record) -> None:
        """Look at a row."""
        if record.shape == "referring prompts":
            self.absent.of += 1
            if record.boxes is None:
                self.absent.hit("absent", record.locator)
        if record.boxes is None:
            return
        self._coco |= "iscrowd" in record.fields or "category_id" in record.fields
        for box in record.boxes:
            self.corners.of += 1
            self.range.of += 1
            if _is_degenerate(box.coords):
                self.corners.hit("field", record.locator)
            if box.coords[2] <= 0 or box.coords[3] <= 0:
                self.sizes.hit("field", record.locator)
            pixels = max(box.coords) > 1
            beyond = pixels and record.size is not None and _beyond(box.coords, record.size)
            if min(box.coords) < 0 or beyond:
                self.range.hit("field", record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        inverted, empty = (
            kinds.by_kind["field"].count if "field" in kinds.by_kind else 0 for kinds in (self.corners, self.sizes)
        )
        if self._coco or (3 * inverted > self.corners.of and empty < inverted):
            self.sizes.of = self.corners.of
            yield from self.sizes.findings({"field": "boxes (read as corner and size) without a width or height"})
        else:
            yield from self.corners.findings({"field": "boxes with x2 <= x1 or y2 <= y1"})
            yield from self.range.findings({"field": "boxes with a coordinate below 0 or beyond the recorded size"})
        yield from self.absent.findings({"absent": "rows of referring prompts have no box"})


class NumberWords:
    """`number_word`: prompts that begin with a number in rows that list one box; fields that count boxes."""

    def __init__(self, scope: Scope) -> None:
        self.kinds = Kinds(_NUMBER, scope)

    def see(self, record: Record) -> None:
        """Look at a row."""
        if record.boxes is None:
            return
        said = record.fields.get("count")
        if isinstance(said, int) and not isinstance(said, bool) and said != len(record.boxes):
            self.kinds.hit("count", record.locator)
        self.kinds.of += 1
        if len(record.boxes) > 1:
            return
        texts = [text for level in record.levels.values() for text in level]
        if any(_FEW.search(text) for text in texts):
            self.kinds.hit("few", record.locator)
        elif any(_MORE.search(text) for text in texts):
            self.kinds.hit("more", record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        yield from self.kinds.findings(
            {
                "few": "a prompt says two, three, four or many objects, the row has one box",
                "more": "a prompt says five objects or more, the row has one box",
                "count": "the field `count` is not the number of boxes",
            }
        )
