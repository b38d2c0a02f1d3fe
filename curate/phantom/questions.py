"""Questions and answers about radiographs and smears, images and records together in one archive."""

from typing import Any

import msgspec

from curate.phantom.cells import ERYTHROCYTE, LEUKOCYTE, PLATELET, Cell, SmearStyle, smear
from curate.phantom.chest import ENLARGED, Chest, anatomy, chest, random_consolidation
from curate.phantom.encode import jpeg, png, zip_of
from curate.phantom.folder import Folder, split_of
from curate.phantom.shapes import generator
from curate.phantom.truth import ImageTruth, QuestionTruth
from curate.schema import Laterality

__all__ = ["write_questions"]


def write_questions(folder: Folder, images: int) -> list[ImageTruth]:
    """`phantom-qa.zip` with `images/`, `train.json` and `test.json`; the first record stands twice in its file."""
    archive = "phantom-qa.zip"
    members: list[tuple[str, bytes]] = []
    records: dict[str, list[dict[str, Any]]] = {}
    items: list[ImageTruth] = []
    qid = 0
    for index in range(images):
        rng = generator(folder.seed, folder.id, index)
        split = "test" if split_of(index) == "test" else "train"
        if index % 2:
            organ, modality, name = "BLOOD", "MICROSCOPY", f"smear{index:05d}.jpg"
            pixels, cells = smear(rng, SmearStyle(), 480, 360)
            data, questions = jpeg(pixels), _about_smear(cells)
        else:
            organ, modality, name = "CHEST", "XRAY", f"chest{index:05d}.png"
            finding = random_consolidation(rng, 1.0) if rng.integers(2) else None
            drawn = chest(rng, anatomy(rng), finding, size=384)
            pixels = drawn.pixels()
            data, questions = png(pixels), _about_chest(drawn, finding.side if finding else None)
        members.append((f"images/{name}", data))
        for one in questions:
            qid += 1
            about = {"qid": qid, "image_name": name, "image_organ": organ, "modality": modality}
            records.setdefault(split, []).append({**about, **msgspec.structs.asdict(one)})
        height, width = pixels.shape[:2]
        items.append(
            ImageTruth(
                path=archive, member=f"images/{name}", width=width, height=height, split=split, questions=questions
            )
        )
    records["train"].append({**records["train"][0], "qid": qid + 1})
    members += [(f"{split}.json", msgspec.json.encode(rows) + b"\n") for split, rows in sorted(records.items())]
    folder.write(archive, zip_of(members))
    return items


def _closed(question: str, holds: bool) -> QuestionTruth:
    return QuestionTruth(question, "Yes" if holds else "No", "CLOSED")


def _about_smear(cells: tuple[Cell, ...]) -> tuple[QuestionTruth, ...]:
    counts = {concept: sum(cell.concept == concept for cell in cells) for concept in (ERYTHROCYTE, LEUKOCYTE, PLATELET)}
    return (
        _closed("Is there a leukocyte in this field?", counts[LEUKOCYTE] > 0),
        _closed("Are there platelets in this field?", counts[PLATELET] > 0),
        QuestionTruth("How many leukocytes are visible?", str(counts[LEUKOCYTE]), "OPEN"),
        QuestionTruth("How many erythrocytes are visible?", str(counts[ERYTHROCYTE]), "OPEN"),
    )


def _about_chest(drawn: Chest, side: Laterality | None) -> tuple[QuestionTruth, ...]:
    which = (QuestionTruth("Which lung is consolidated?", f"The {side.value} lung", "OPEN"),) if side else ()
    return (
        _closed("Is there a consolidation?", side is not None),
        _closed("Is the heart wider than half of the chest?", drawn.cardiothoracic_ratio > ENLARGED),
        *which,
        QuestionTruth("What kind of image is this?", "A frontal chest radiograph", "OPEN"),
    )
