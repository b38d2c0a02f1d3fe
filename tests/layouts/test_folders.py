"""The class of an image stands in its path."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curate.layouts.base import ImageRef, RawAnnotation, Record, Refused
from curate.layouts.folders import Folders
from curate.schema import Kind, Reason, State, Unit, Verdict
from tests.layouts.scanning import pack, refusals, write
from tests.layouts.scanning import scan as scan_layout


def scan(root: Path, images: str = "**/*.png", **labels: Any) -> list[Record | Refused]:
    return scan_layout(Folders, root, images, **labels)[0]


def said(units: list[Record | Refused]) -> list[RawAnnotation]:
    return [annotation for unit in units if isinstance(unit, Record) for annotation in unit.annotations]


def test_a_folder_per_disease_names_the_disease(test_data: Callable[[str], Path]) -> None:
    units = scan(test_data("chula-rbc-diseases"), "*/*.JPG", concepts={"HE": "hereditary elliptocytosis", "HS": None})
    assert {unit.unit for unit in units} == {Unit.FILE}
    named = said(units)
    assert {(one.kind, one.label, one.concept, one.state) for one in named} == {
        (Kind.CLASS, "HE", "hereditary elliptocytosis", State.PRESENT)
    }
    verdicts = Counter(unit.refusal.reason for unit in units if isinstance(unit, Refused))
    assert verdicts.keys() == {Reason.IGNORED_CLASS, Reason.UNKNOWN_CLASS}


def test_names_with_spaces_are_labels_as_they_stand(test_data: Callable[[str], Path]) -> None:
    labels = {one.label for one in said(scan(test_data("chula-rbc-diseases"), "*/*.JPG"))}
    assert labels == {"HE", "HS", "Iron deficiency anemia", "Megaloblastic anemia", "Thalassemia"}


def test_a_pattern_finds_the_class_in_the_name(tmp_path: Path) -> None:
    write(tmp_path, {"x/Cov-1.png": "", "x/Reg_2.png": "", "x/other.png": ""})
    units = scan(tmp_path, pattern=r"/(?P<label>Cov|Reg)[-_]", kind="multilabel")
    assert [(one.label, one.kind, one.locator) for one in said(units)] == [
        ("Cov", Kind.MULTILABEL, "path"),
        ("Reg", Kind.MULTILABEL, "path"),
    ]
    assert refusals(units) == [("file", "path", "missing_value")]


def test_an_image_at_the_root_has_no_class(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": ""})
    assert refusals(scan(tmp_path)) == [("file", "path", "missing_value")]


def test_folders_within_an_archive_are_classes_too(tmp_path: Path) -> None:
    pack(tmp_path / "d.zip", {"nv/a.png": "", "mel/b.png": ""})
    units = scan(tmp_path, "d.zip/*/*.png")
    assert [one.label for one in said(units)] == ["mel", "nv"]
    assert [(unit.file, unit.image) for unit in units] == [
        ("d.zip!mel/b.png", ImageRef("d.zip/mel/b.png")),
        ("d.zip!nv/a.png", ImageRef("d.zip/nv/a.png")),
    ]


def test_an_ignored_class_is_filtered_and_not_rejected(tmp_path: Path) -> None:
    write(tmp_path, {"artefact/a.png": ""})
    (unit,) = scan(tmp_path, concepts={"artefact": None})
    assert isinstance(unit, Refused)
    assert unit.refusal.verdict is Verdict.FILTERED
