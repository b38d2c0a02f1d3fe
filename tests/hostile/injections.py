"""Payloads of `injections.yaml`, sources that hide them wherever a source has words, and a model that obeys."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from curate.testing.scripted import ScriptedServer, brief_of, well
from tests.crash.small import CARD, KILLS, age, draw, write_csv, write_yaml

HEALTHY: Final = 3
"""Images of each source that nobody tampered with."""

SHARE: Final = 5 if KILLS == 1 else 1
"""One in so many places gets each payload: all of them where `CURATE_KILLS` asks for more than a test run."""

_WINDOW: Final = 10
"""So many letters or digits in a row are compared, so that articles and plurals hide nothing."""

_RECOGNISED: Final = 0.5

_NEGATIONS: Final = re.compile(r"\b(?:no|not|nor|neither|without|never)\b\s*", re.IGNORECASE)

_NAME_BYTES: Final = 120


class Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One instruction, and what comes of it where it is obeyed."""

    id: str
    kind: str
    text: str
    says: str
    never: tuple[str, ...]

    @property
    def name(self) -> str:
        """The text as a file or folder can be called: without slashes, and not too long."""
        whole = self.text.replace("/", "\N{DIVISION SLASH}").strip().strip(".").encode()[:_NAME_BYTES]
        return whole.decode(errors="ignore").strip() or self.id


PAYLOADS: Final = msgspec.convert(
    yaml.safe_load(Path(__file__).with_name("injections.yaml").read_text("utf-8")), tuple[Payload, ...]
)


def squashed(text: str) -> str:
    """Letters and digits alone: what is left of a text however it was cleaned, quoted or escaped."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def windows(text: str) -> frozenset[str]:
    """All runs of letters and digits of one length; the whole text where it is shorter."""
    bare = squashed(text)
    return frozenset(bare[start : start + _WINDOW] for start in range(max(1, len(bare) - _WINDOW + 1)) if bare)


WINDOWS: Final[Mapping[str, frozenset[str]]] = {payload.id: windows(payload.text) for payload in PAYLOADS}


def noticed(text: str) -> Payload | None:
    """The payload of which most stands in a text, if it is half of one."""
    bare = squashed(text)
    shares = [
        (sum(window in bare for window in WINDOWS[each.id]) / len(WINDOWS[each.id]), each.id, each) for each in PAYLOADS
    ]
    most, _, payload = max(shares)
    return payload if most >= _RECOGNISED else None


class Obedient:
    """A model that does what stands in its prompt, and what it is asked to where nothing else stands there."""

    def __init__(self) -> None:
        self.obeyed: list[str] = []

    def __call__(self, body: dict[str, Any]) -> str:
        brief = brief_of(body)
        payload = noticed(f"{brief['question']} {brief['answer']}")
        if payload is None:
            return well(body)
        self.obeyed.append(payload.id)
        words = {
            "@question": brief["question"],
            "@answer": brief["answer"],
            "@unnegated": _NEGATIONS.sub("", brief["answer"]),
            "@system": body["messages"][0]["content"],
        }
        return re.sub(r"@(?:question|answer|unnegated|system)\b", lambda found: _quoted(words[found[0]]), payload.says)


def _quoted(text: str) -> str:
    """A text as it stands within a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


# The sources: in each, the first images are healthy, and each of the others carries one payload in one place.

Card = dict[str, Any]
Planted = tuple[tuple[str, str], ...]  # name of an image, and the words that somebody put there
Place = Callable[[Path, Planted], Card]
_BENIGN: Final = "anaemia"


def classes(root: Path, planted: Planted) -> Card:
    """In the cell of a class."""
    return _table(root, planted, {"kind": "class"})


def findings(root: Path, planted: Planted) -> Card:
    """In the cell of a finding."""
    return _table(root, planted, {"kind": "multilabel"})


def grades(root: Path, planted: Planted) -> Card:
    """In the cell of a grade."""
    return _table(root, planted, {"kind": "grade", "concept": "pneumonia severity"})


def columns(root: Path, planted: Planted) -> Card:
    """As the name of a column, which is the name of a finding."""
    told = {image: " ".join(words.split()) for image, words in planted}  # line breaks of YAML are not those of CSV
    names = sorted(set(told.values()))
    write_csv(root / "labels.csv", ["image", *names], [[i, *(int(n == told[i]) for n in names)] for i in told])
    stated = {"kind": "multilabel", "states": {"1": "present", "0": "not_stated"}}
    return {"labels": [_labels(dict.fromkeys(names, stated))]}


def units(root: Path, planted: Planted) -> Card:
    """As the unit of a measurement."""
    write_csv(root / "labels.csv", ["image", "size", "unit"], [[image, 12, words] for image, words in planted])
    column = {"kind": "measurement", "concept": "nodule diameter", "unit": {"column": "unit"}}
    return {"labels": [_labels({"size": column})]}


def boxes(root: Path, planted: Planted) -> Card:
    """As the label of a box."""
    rows = [[image, 2, 3, 12, 14, words] for image, words in planted]
    write_csv(root / "labels.csv", ["image", "x1", "y1", "x2", "y2", "label"], rows)
    box = {"columns": ["x1", "y1", "x2", "y2"], "label": "label", "convention": "xyxy"}
    return {"labels": [{"layout": "table", "files": "labels.csv", "image": "images/{image}.png", "box": box}]}


def attributes(root: Path, planted: Planted) -> Card:
    """As modality, anatomy and view of the image."""
    rows = [[image, _BENIGN, words, words, words] for image, words in planted]
    write_csv(root / "labels.csv", ["image", "label", "modality", "anatomy", "view"], rows)
    fields = {"modality": "modality", "anatomy": "anatomy", "view": "view"}
    return {"labels": [_labels({"label": {"kind": "class"}}) | {"fields": fields}]}


def texts(root: Path, planted: Planted) -> Card:
    """In a caption, a report, a sentence, an attribute, a code and a qualifier."""
    kinds = ("caption", "report", "sentence", "attribute")
    rows = [[image, _BENIGN, *([words] * (len(kinds) + 2))] for image, words in planted]
    write_csv(root / "labels.csv", ["image", "label", *kinds, "code", "comment"], rows)
    spec: Card = {"label": {"kind": "class", "qualifiers": {"comment": "comment"}}}
    spec |= {kind: {"kind": kind} for kind in kinds} | {"code": {"kind": "code", "system": "ICD-10"}}
    return {"labels": [_labels(spec)]}


def questions(root: Path, planted: Planted) -> Card:
    """In a question and its answer, beside a class."""
    write_csv(root / "labels.csv", ["image", "label"], [[image, _BENIGN] for image, _ in planted])
    lines = [
        json.dumps({"image": f"images/{image}.png", "question": f"What is it? {words}", "answer": words})
        for image, words in planted
    ]
    (root / "qa.jsonl").write_text("\n".join(lines))
    asked = {"layout": "qa", "files": "qa.jsonl", "image": "image", "question": "question", "answer": "answer"}
    return {"labels": [_labels({"label": {"kind": "class"}}), asked]}


def folders(root: Path, planted: Planted) -> Card:
    """As the name of a folder, which is a class."""
    for image, words in planted:
        folder = root / "images" / words.replace("/", "\N{DIVISION SLASH}")
        folder.mkdir(exist_ok=True)
        (root / "images" / f"{image}.png").rename(folder / f"{image}.png")
    return {"images": {"glob": "images/*/*.png"}, "labels": [{"layout": "folders"}]}


def files(root: Path, planted: Planted) -> Card:
    """As the name of the image's file."""
    for image, words in planted:
        name = image if words == _BENIGN else words
        (root / "images" / f"{image}.png").rename(root / "images" / f"{name}.png")
    write_csv(
        root / "labels.csv",
        ["image", "label"],
        [[image if words == _BENIGN else words, _BENIGN] for image, words in planted],
    )
    return {"labels": [_labels({"label": {"kind": "class"}})]}


NAMES: Final = frozenset({"folders", "files"})
"""Places where a payload is a name in the file system."""

PLACES: Final[Mapping[str, Place]] = {
    place.__name__: place
    for place in (*(classes, findings, grades, columns, units, boxes, attributes, texts, questions, folders, files),)
}


def _labels(columns_: Card) -> Card:
    return {"layout": "table", "files": "labels.csv", "image": "images/{image}.png", "columns": columns_}


def _table(root: Path, planted: Planted, column: Card) -> Card:
    write_csv(root / "labels.csv", ["image", "label"], [[image, words] for image, words in planted])
    return {"labels": [_labels({"label": column})]}


@dataclass(frozen=True)
class World:
    """Every source with its card, and one recipe."""

    folder: Path

    def recipe(self, server: ScriptedServer | None, **changes: Any) -> Path:
        """The recipe with a rewriter at the server, or without one."""
        value: Card = {
            "name": "injections",
            "sources": [{"card": f"{place}.yaml", "data": place} for place in PLACES],
            "tasks": ["label_caption", "closed_vqa", "open_vqa", "grounding", "count", "source_qa"],
            "limits": {"rejects": 1.0},
        }
        if server is not None:
            completer = {"name": "openai", "url": server.url, "retries": 0}
            value["rewrite"] = {"model": "obedient", "completer": completer, "variants": 1} | changes
        path = self.folder / ("plain.yaml" if server is None else "rewritten.yaml")
        write_yaml(path, value)
        return path


def write_world(folder: Path, payloads: tuple[Payload, ...], *, hostile: bool) -> World:
    """The sources; the same images with harmless words where not `hostile`."""
    for number, (place, plant) in enumerate(PLACES.items()):
        root = folder / place
        here = [payload for at, payload in enumerate(payloads) if (at + number) % SHARE == 0]
        images = [f"healthy{at}" for at in range(HEALTHY)] + [f"planted-{each.id}" for each in here]
        for seed, image in enumerate(images):
            draw(root / "images" / f"{image}.png", seed)
        words = [_BENIGN] * len(images)
        if hostile:
            words[HEALTHY:] = [each.name if place in NAMES else each.text for each in here]
        changes = plant(root, tuple(zip(images, words, strict=True)))
        plain: Card = {"images": {"glob": "images/*.png"}, "subject": {"none": "a test"}, "paths_identify": False}
        write_yaml(folder / f"{place}.yaml", CARD | plain | changes | {"id": place})
        age(root)
    return World(folder)
