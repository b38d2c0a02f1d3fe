"""A table of findings about radiographs of subjects who come several times."""

from dataclasses import replace
from typing import Final

import numpy as np

from curate.phantom.chest import ENLARGED, Anatomy, anatomy, chest, random_consolidation
from curate.phantom.encode import png
from curate.phantom.folder import Folder
from curate.phantom.shapes import generator
from curate.phantom.truth import ImageTruth
from curate.schema import Laterality, State, identity

__all__ = ["ABSENT_VISITS", "write_visits"]

ABSENT_VISITS: Final = 3
"""Rows of the table whose image is not there, whatever the number of images: the card states it."""

DOUBTFUL: Final = 0.48
"""Ratio from which the table calls an enlarged heart uncertain."""

CELLS: Final = {State.PRESENT: "1", State.ABSENT: "0", State.UNCERTAIN: "-1", State.NOT_STATED: ""}
"""How the table writes each state."""


def write_visits(folder: Folder, images: int) -> list[ImageTruth]:
    """`data.csv`, a row per visit of a subject, and `png/<image_id>.png`.

    What a row does not state may be there all the same: the silence of this table means nothing.
    """
    header = "patient_id,image_id,visit_day,projection,side,Consolidation,Cardiomegaly,Pneumothorax,ctr\n"
    rows: list[str] = []
    items: list[ImageTruth] = []
    number = 0
    while len(items) < images:
        rng = generator(folder.seed, folder.id, "subject", number)
        subject = identity(folder.seed, folder.id, number)[:12]
        shape, day = anatomy(rng), 0
        for visit in range(min(int(rng.integers(1, 5)), images - len(items))):
            day += int(rng.integers(1, 60)) if visit else 0
            image = identity(subject, visit)[:12]
            item, row, pixels = _visit(rng, shape, f"png/{image}.png", subject, day)
            folder.write(item.path, pixels)
            rows.append(f"{subject},{image},{row}\n")
            items.append(item)
        number += 1
    for absent in range(ABSENT_VISITS):
        item = items[absent * (len(items) - 1) // ABSENT_VISITS]
        image = identity(folder.seed, folder.id, "absent", absent)[:12]
        rows.append(f"{item.subject},{image},{400 + absent},PA,,,,0,\n")
    folder.write("data.csv", header + "".join(rows))
    return items


def _visit(
    rng: np.random.Generator, shape: Anatomy, path: str, subject: str, day: int
) -> tuple[ImageTruth, str, bytes]:
    kind = int(rng.integers(3))
    finding = random_consolidation(rng, strength=0.4 if kind == 1 else 1.0) if kind else None
    heart_width = shape.heart_width * (0.94 + 0.16 * rng.random())  # it is not the same at every visit
    drawn = chest(rng, replace(shape, heart_width=heart_width), finding)
    ratio = round(drawn.cardiothoracic_ratio, 3)
    large = State.PRESENT if ratio > ENLARGED else State.UNCERTAIN if ratio >= DOUBTFUL else State.ABSENT
    states = {
        "Consolidation": (State.ABSENT, State.UNCERTAIN, State.PRESENT)[kind],
        "Cardiomegaly": large,
        "Pneumothorax": State.ABSENT,
    }
    silent = rng.random(len(states)) < 0.2
    states = {
        name: State.NOT_STATED if hush else state for (name, state), hush in zip(states.items(), silent, strict=True)
    }
    view = ("PA", "AP")[int(rng.integers(2))]
    told = finding is not None and states["Consolidation"] is not State.NOT_STATED
    side = finding.side if finding is not None and told else None
    item = ImageTruth(
        path=path,
        width=drawn.brightness.shape[1],
        height=drawn.brightness.shape[0],
        subject=subject,
        day_offset=day,
        view=view,
        states=states,
        attributes={"side": side.value} if side else {},
        measurements={"ctr": ratio},
    )
    letter = {Laterality.LEFT: "L", Laterality.RIGHT: "R"}[side] if side else ""
    cells = ",".join(CELLS[state] for state in states.values())
    return item, f"{day},{view},{letter},{cells},{ratio:.3f}", png(drawn.pixels())
