"""Boxes, intervals, strata, manifests and registries."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.published import Report, check_records
from tests.published.conftest import Check
from tests.published.rows import asked

LOCATE = "Give the bounding box of the polyp."


@pytest.mark.parametrize(
    ("question", "answer", "rule"),
    [
        (LOCATE, "<|box_start|>(10,20),(30,40)<|box_end|>", None),
        (LOCATE, "<|box_start|>(30,20),(10,40)<|box_end|>", "degenerate_box"),
        (LOCATE, "<box>[[10, 20, 10, 40]]</box>", "degenerate_box"),
        (LOCATE, "<box>[[10, 20, 1030, 40]]</box>", "box_out_of_range"),
        ("Give the box with integers ranging from 0 to 999.", "<box>[[10, 20, 1000, 40]]</box>", "box_out_of_range"),
        (LOCATE, "<loc_12><loc_30><loc_400><loc_500>", None),
        (LOCATE, "<loc_400><loc_30><loc_12><loc_500>", "degenerate_box"),
        (LOCATE, '{"bbox_2d": [10, 20, 2030, 1440]}', None),
        (LOCATE, "[0.1, 0.2, 0.3, 0.4]", None),
        (LOCATE, "[0.1, 0.2, 1.3, 0.4]", "box_out_of_range"),
        (LOCATE, "[-4, 2, 30, 40]", "box_out_of_range"),
        ("Sizes of the series?", "[10, 20, 10, 20]", None),
        ("请给出息肉的边界框。", "<box>[[30, 20, 10, 40]]</box>", "degenerate_box"),
    ],
)
def test_boxes_in_answers(counts: Check, question: str, answer: str, rule: str | None) -> None:
    found = counts([asked(question, answer)])
    broken = {one for one in ("degenerate_box", "box_out_of_range", "missing_box") if found[one]}
    assert broken == ({rule} if rule else set())


def test_a_box_in_pixels_lies_within_the_recorded_size(counts: Check) -> None:
    row = asked(LOCATE, "[10, 20, 700, 40]", width=640, height=480)
    assert counts([row])["box_out_of_range"] == 1
    assert counts([{**row, "width": 800}])["box_out_of_range"] == 0


def test_an_answer_without_the_box_that_was_asked_for(counts: Check) -> None:
    good = [asked(LOCATE, "<box>[[1, 2, 3, 4]]</box>", f"{n}.png") for n in range(4)]
    assert counts([*good, asked(LOCATE, "In the upper left.", "9.png")])["missing_box"] == 1


def _three(
    answer: str, *, name: str = "Spleen", paths: tuple[str, ...] = ("CT_Liver", "CT_Spleen", "CT_Kidney")
) -> dict[str, Any]:
    question = f"<image><image><image>Find <|object_ref_start|>{name}<|object_ref_end|>."
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"images": [f"{path}.png" for path in paths], "conversations": turns}


def test_images_by_their_ordinal(counts: Check) -> None:
    box = "<|box_start|>(1,2),(3,4)<|box_end|>"
    right = [_three(f"In the second image {box}"), _three(f"在第二张图像中 {box}"), _three(f"Image 2 {box}")]
    assert not {"image_ordinal", "referred_name", "missing_box"} & set(counts(right))
    assert counts([*right, _three(f"In the fourth image {box}")])["image_ordinal"] == 1
    assert counts([*right, _three(f"第四张图 {box}")])["image_ordinal"] == 1
    assert counts([*right, _three(f"In the third image {box}")])["referred_name"] == 1


def test_names_of_objects_need_paths_that_hold_them(counts: Check) -> None:
    box = "<|box_start|>(1,2),(3,4)<|box_end|>"
    assert not counts([_three(f"In the first image {box}", paths=("1", "2", "3"))])["referred_name"]


def _referring(sentence: Any, bbox: Any, **more: Any) -> dict[str, Any]:
    return {"img_name": "p1.png", "bbox": bbox, "prompts": {"p0": "", "p1": sentence}, **more}


def test_numbers_in_prompts_and_fields_against_boxes(counts: Check) -> None:
    box = [1, 2, 30, 40]
    assert counts([_referring(["Two polyps in the colon."], box)])["number_word"] == 1
    assert counts([_referring("两个息肉。", box)])["number_word"] == 1
    assert counts([_referring("One polyp in the colon.", box)])["number_word"] == 0
    assert counts([_referring("Two polyps.", [box, [50, 50, 60, 60]])])["number_word"] == 0
    assert counts([{"image": "1.png", "bbox": [box], "count": 2, "label": "polyp"}])["number_word"] == 1


def test_boxes_in_fields(counts: Check) -> None:
    boxes = [[1, 2, 30, 40], [50, 60, 70, 80], [5, 6, 5, 9]]
    assert counts([_referring("One polyp.", box) for box in boxes])["degenerate_box"] == 1
    sizes = [[100, 100, 30, 40], [200, 10, 20, 80], [50, 90, 70, 20]]
    assert counts([_referring("One polyp.", box) for box in sizes])["degenerate_box"] == 0
    assert counts([_referring("One polyp.", [*sizes, [5, 5, 0, 9]])])["degenerate_box"] == 1


def _csv(tmp_path: Path, text: str, name: str = "phases.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_intervals_of_a_video(tmp_path: Path) -> None:
    path = _csv(tmp_path, "case_id,start_time,end_time,phase\nv1,0,10,a\nv1,8,20,b\nv1,20,30,c\nv2,5,5,a\n")
    found = {(one.rule, one.count, one.of, one.rows) for one in check_records([path]).findings}
    assert found == {("interval_overlap", 1, 4, ("row 1",)), ("interval_inverted", 1, 4, ("row 4",))}


def test_a_subject_in_two_splits_of_one_table(tmp_path: Path) -> None:
    path = _csv(tmp_path, "patient_id,image,split\np1,1.png,train\np2,2.png,test\np1,3.png,test\n", "table.csv")
    (found,) = [one for one in check_records([path]).findings if one.rule == "split_overlap"]
    assert found.rows == ("row 3",) and "subject" in found.message


def test_sections_of_a_datalist_that_share_an_image(counts: Check) -> None:
    rows = {"training": [{"image": "1.nii.gz"}, {"image": "2.nii.gz"}], "testing": [{"image": "2.nii.gz"}]}
    assert counts(rows)["split_overlap"] == 1
    few_shot = {"train": [["a/1.png", 0, "glioma"]], "test": [["a/1.png", 0, "glioma"], ["a/2.png", 1, "normal"]]}
    assert counts(few_shot)["split_overlap"] == 1


def test_intervals_as_json_and_as_a_table(tmp_path: Path) -> None:
    table = "video,start,end\nv1,0,10\nv1,10,20\nv2,0,5\n"
    segments = {"v1": [[0, 10], [10, 20]], "v2": [[0, 5]]}
    database = {
        name: {"annotations": [{"segment": one, "label": "x"} for one in held]} for name, held in segments.items()
    }
    _csv(tmp_path, table)
    (tmp_path / "tal.json").write_text(json.dumps({"database": database}))
    assert not check_records([tmp_path]).findings
    database["v1"]["annotations"].pop()
    (tmp_path / "tal.json").write_text(json.dumps({"database": database}))
    (found,) = check_records([tmp_path]).findings
    assert (found.rule, found.count, found.of) == ("json_against_table", 1, 2)


def test_a_benchmark_that_is_its_pool(tmp_path: Path) -> None:
    path = _csv(tmp_path, "task,num_test,num_total\ngrading,60,600\nstaging,70,70\ncounting,8,90\n", "strata.csv")
    found = {one.rule: (one.count, one.of) for one in check_records([path]).findings}
    assert found == {"benchmark_is_pool": (1, 3), "small_stratum": (1, 3)}


def test_a_manifest_against_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(asked("Q?", f"A {n}.")) for n in range(3)))
    manifest = {
        "right": {"root": "img", "annotation": "a.jsonl", "length": 3},
        "wrong": {"root": "img", "annotation": "a.jsonl", "length": 4},
        "gone": {"root": "/data/img", "annotation": "b.jsonl", "length": 4},
    }
    path = tmp_path / "mix.json"
    path.write_text(json.dumps(manifest))
    report = check_records([path])
    assert report.files[0].format == "mixture manifest"
    found = {(one.rule, one.rows) for one in report.findings}
    assert found == {
        ("manifest_length", ("entry 2 (wrong)",)),
        ("dangling_entry", ("entry 3 (gone)",)),
        ("absolute_path", ("entry 3 (gone)",)),
    }


def test_a_registry_against_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    registry = {
        "a": {"file_name": "a.json"},
        "b": {"file_name": "b.json", "formatting": "sharegpt"},
        "c": {"file_name": "/root/c.json"},
        "hub": {"hf_hub_url": "someone/something"},
    }
    path = tmp_path / "dataset_info.json"
    path.write_text(json.dumps(registry))
    found = {(one.rule, one.count, one.of) for one in check_records([path]).findings}
    assert found == {("dangling_entry", 1, 3), ("absolute_path", 1, 3)}


def test_the_balance_of_yes_and_no(report: Callable[..., Report]) -> None:
    rows = [
        {"question": f"Is there a lesion in {n}?", "answer": "No" if n else "Yes, one", "image": f"{n}.png"}
        for n in range(60)
    ]
    (found,) = report(rows).findings
    assert (found.rule, found.severity, found.count, found.of) == ("label_balance", "warning", 59, 60)
    chinese = [
        {"question": f"图{n}有病变吗？", "answer": "是" if n % 2 else "否", "image": f"{n}.png"} for n in range(60)
    ]
    (found,) = report(chinese).findings
    assert (found.severity, found.count, found.of) == ("note", 30, 60)
