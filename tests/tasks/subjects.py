"""Subjects as a radiologist and a haematologist would label them, built by hand, and those of real VOC files."""

import itertools
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from curate.rows import Annotation, Asset, Subject
from curate.schema import Annotator, Form, Kind, State, World, identity
from curate.tasks import make_task, task_class, task_names
from curate.vocabulary import LabelNames

CHEST_FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Lung Opacity", "Nodule", "Pleural Effusion", "Pneumonia",
    "Pneumothorax", "Pleural_Thickening", "Support Devices", "Fracture",
)  # fmt: skip
CELLS = ("erythrocyte", "leukocyte", "platelet")
DISEASES = ("HE", "Iron deficiency anemia", "Megaloblastic anemia", "Thalassemia", "normal")
VOCABULARY = {
    "findings": LabelNames(tuple(sorted(CHEST_FINDINGS))),
    "cells": LabelNames(CELLS, exhaustive=True),
    "disease": LabelNames(DISEASES),
    "nuclei": LabelNames(("nucleus",)),
    "organs": LabelNames(("heart", "left lung", "right lung"), exhaustive=True, regions=True),
    "abdomen": LabelNames(("left kidney", "right kidney"), exhaustive=True, regions=True),
    "lesions": LabelNames(("edema", "enhancing tumor", "necrosis"), exhaustive=True, regions=True),
}


def asset(name: str = "a", **fields: Any) -> Asset:
    plain: dict[str, Any] = {
        "asset_id": identity("asset", name), "source": "hand", "item_key": name, "content_sha256": "0",
        "image_sha256": "0", "media_type": "image/png", "width": 640, "height": 480, "channels": 1, "bit_depth": 8,
        "phash": 0,
    }  # fmt: skip
    return Asset(**plain | fields)


def says(of: Asset, kind: Kind, concept: str | None, label_set: str, number: int, **fields: Any) -> Annotation:
    plain: dict[str, Any] = {
        "annotation_id": identity(of.asset_id, kind, label_set, number), "asset_id": of.asset_id, "source": of.source,
        "label_set": label_set, "world": World.OPEN, "exhaustive": False, "kind": kind, "concept": concept,
        "annotator": Annotator.HUMAN, "file": "labels", "locator": f"object[{number}]",
    }  # fmt: skip
    return Annotation(**plain | fields)


def chest(name: str, world: World = World.OPEN, *, sides: bool = False, **states: str) -> Subject:
    """A chest radiograph with findings in their states."""
    shown = asset(name, modality="CR", anatomy="chest", view="pa", labelled_by=["findings"])
    said = []
    for number, (concept, state) in enumerate(states.items()):
        side = "left" if sides and number % 2 == 0 else "right" if sides else None
        concept_name = concept.replace("__", " ")
        said.append(
            says(shown, Kind.MULTILABEL, concept_name, "findings", number, state=State(state), world=world, side=side)
        )
    return Subject(shown, tuple(said))


def smear(name: str, cells: str, *, exhaustive: bool = True, kind: Kind = Kind.BOX) -> Subject:
    """A blood smear; each letter of `cells` is one: e, l, p."""
    shown = asset(name, modality="light microscopy", anatomy="peripheral blood", labelled_by=["cells"])
    names = dict(zip("elp", CELLS, strict=True))
    said = []
    for number, letter in enumerate(cells):
        x, y = 7.5 + 31 * (number % 18), 11.25 + 43 * (number // 18)
        place: dict[str, Any] = {"point": [x, y]} if kind is Kind.POINT else {"box": [x, y, x + 24.5, y + 30]}
        said.append(says(shown, kind, names[letter], "cells", number, exhaustive=exhaustive, **place))
    return Subject(shown, tuple(said))


def classified(name: str, concept: str, **fields: Any) -> Subject:
    """An image with one of several diseases."""
    shown = asset(name, labelled_by=["disease"], **fields)
    label = says(shown, Kind.CLASS, concept, "disease", 0, state=State.PRESENT, world=World.EXCLUSIVE)
    return Subject(shown, (label,))


def asked(name: str, question: str, answer: str) -> Subject:
    """An image with a question and answer of its source."""
    shown = asset(name, anatomy="head", labelled_by=["qa"])
    return Subject(shown, (says(shown, Kind.QA, None, "qa", 0, question=question, text=answer, language="en"),))


def organs(name: str) -> Subject:
    """A chest radiograph with masks of heart and lungs."""
    shown = asset(name, modality="DX", anatomy="chest", view="AP", labelled_by=["organs"])
    boxes = {"heart": [250.0, 200.0, 420.0, 380.0], "right lung": [60.2, 50.0, 260.0, 400.0],
             "left lung": [380.0, 50.0, 600.0, 400.9]}  # fmt: skip
    masks = [
        says(shown, Kind.MASK, concept, "organs", n, box=box, exhaustive=True, flags=["region"])
        for n, (concept, box) in enumerate(boxes.items())
    ]
    return Subject(shown, tuple(masks))


def lesions(name: str, *concepts: str) -> Subject:
    """A brain MR image with a label map of what is diseased; each concept is all of its pixels."""
    shown = asset(name, modality="MR", anatomy="brain", view="axial", labelled_by=["lesions"])
    masks = [
        says(shown, Kind.MASK, concept, "lesions", n, box=[50.0 * n, 40, 50.0 * n + 45, 90], exhaustive=True,
             flags=["region"])
        for n, concept in enumerate(concepts, 1)
    ]  # fmt: skip
    return Subject(shown, tuple(masks))


def scanned(name: str) -> Subject:
    """A CT volume with masks of the kidneys, measured."""
    affine = [1.5, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 2.0, 0, 0, 0, 0, 1]
    shown = asset(
        name, form=Form.VOLUME, media_type="application/zarr", modality="CT", anatomy="abdomen", width=200, height=200,
        depth=90, spacing_mm=[2.0, 1.0, 1.5], affine_lps=affine, rescale_unit="HU", labelled_by=["abdomen"],
    )  # fmt: skip
    masks = [
        says(shown, Kind.MASK, f"{side} kidney", "abdomen", n, frame="volume", box=[20, 20, 9, 60, 70, 59],
             volume_mm3=volume, extent_mm=[60.0, 50.0, 100.0], pieces=1, mean_hu=31.2, exhaustive=True,
             flags=["region"])
        for n, (side, volume) in enumerate((("left", 150_000.0), ("right", 110_000.0)))
    ]  # fmt: skip
    return Subject(shown, tuple(masks))


def lettered(name: str, **attributes: str) -> Subject:
    """An image of which only the codes of its header are known."""
    return Subject(asset(name, **attributes), ())


def graded(name: str, value: float | None, word: str | None = None) -> Subject:
    """A fundus photograph of one eye with a grade of retinopathy, and a laboratory value that it does not show."""
    shown = asset(name, modality="OP", anatomy="eye", laterality="right", labelled_by=["grades"])
    grade = says(shown, Kind.GRADE, "retinopathy grade", "grades", 0, value=value, text=word)
    crp = says(shown, Kind.MEASUREMENT, "C-reactive protein", "lab", 1, value=11.0, unit="mg/L")
    sex = says(shown, Kind.ATTRIBUTE, "sex", "lab", 2, text="female")
    return Subject(shown, (grade, crp, sex))


def hand_built() -> list[Subject]:
    """About fifty subjects of every kind."""
    complete, open_world = World.COMPLETE, World.OPEN
    made = [
        chest("c1", open_world, Cardiomegaly="present", Pneumothorax="absent", Pneumonia="uncertain"),
        chest("c2", complete, Pleural__Effusion="present", Edema="present", Support__Devices="present"),
        chest("c3", complete, sides=True, Pleural__Effusion="present", Nodule="present", Fracture="absent"),
        chest("c4", open_world, Edema="not_stated", Consolidation="absent", Atelectasis="absent"),
        chest("c5", open_world, Lung__Opacity="uncertain", Pleural_Thickening="present"),
        organs("o1"),
        lesions("l0"),
        lesions("l1", "edema", "enhancing tumor"),
        lesions("l2", "necrosis"),
        lettered("h1", modality="CR", anatomy="CSPINE", view="LL"),
        lettered("h2", modality="MG", anatomy="BREAST", view="MLO", laterality="right"),
        lettered("h3", modality="OT", anatomy="WHOLE BODY"),
        lettered("h4", modality="XA", anatomy="CORONARYARTERY", view="LLO"),
        graded("g1", 2.0),
        graded("g2", None, "moderate"),
        asked("q1", "Is there evidence of a pneumothorax", "No"),
        asked("q2", "What organ system is imaged?", "Chest"),
        smear("s0", ""),
        smear("s1", "e"),
        smear("s7", "eee"),
        smear("s8", "pp"),
        smear("s2", "eeeeelp"),
        smear("s3", "eeeepppp" + "e" * 20),
        smear("s4", "eell", exhaustive=False),
        smear("s5", "eeel", kind=Kind.POINT),
        smear("s6", "eelp", exhaustive=False, kind=Kind.POINT),
    ]
    for number, disease in enumerate(DISEASES):
        made.append(classified(f"d{number}", disease, modality="light microscopy", anatomy="peripheral blood"))
        made.append(classified(f"e{number}", disease, modality="MR", view="axial", anatomy="brain"))
    pairs = itertools.permutations(CHEST_FINDINGS, 2)
    for number, (first, second) in enumerate(itertools.islice(pairs, 0, 132, 6)):
        states = {first.replace(" ", "__"): "present", second.replace(" ", "__"): "absent"}
        made.append(chest(f"p{number}", complete if number % 2 else open_world, sides=number % 3 == 0, **states))
    return made


def voc_subjects(folder: Path, limit: int) -> list[Subject]:
    """Blood smears of a Pascal VOC folder, read by the standard library."""
    names = {"RBC": "erythrocyte", "WBC": "leukocyte", "Platelets": "platelet"}
    made = []
    for path in sorted(folder.glob("BCCD/Annotations/*.xml"))[:limit]:
        root = ET.parse(path).getroot()
        size = {side: int(root.findtext(f"size/{side}", "0")) for side in ("width", "height")}
        shown = asset(path.stem, modality="light microscopy", anatomy="peripheral blood", labelled_by=["cells"], **size)
        said = []
        for number, item in enumerate(root.findall("object")):
            x0, y0, x1, y1 = (float(item.findtext(f"bndbox/{k}", "0")) for k in ("xmin", "ymin", "xmax", "ymax"))
            box = [x0 - 1, y0 - 1, x1, y1]
            if x0 - 1 < x1 and y0 - 1 < y1 and x1 <= size["width"] and y1 <= size["height"]:
                concept = names[item.findtext("name", "")]
                said.append(says(shown, Kind.BOX, concept, "cells", number, box=box, exhaustive=True))
        made.append(Subject(shown, tuple(said)))
    return made


OF_ONE = tuple(name for name in task_names() if task_class(name).scope == "asset")
"""The tasks that are shown one asset at a time."""


def drafts_of(subject: Subject, names: tuple[str, ...] = OF_ONE, variants: int = 1, **options: Any) -> list[Any]:
    """The drafts of some tasks about one subject."""
    made = []
    for name in names:
        made += list(make_task(name, options, VOCABULARY, variants=variants).draft(subject))
    return made
