"""How files are read, and what several of them say together."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import UsageError
from curate.published import RULES, check_records
from curate.published.json_stream import JsonProblem, Notes, elements
from tests.published.rows import asked

ROWS = [asked("What is shown?", f"Slide {n} shows a gland.", f"{n}.png", id=n) for n in range(6)]


def _rules(path: Path, **more: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in check_records([path], **more).findings:
        found[one.rule] = found.get(one.rule, 0) + one.count
    return found


@pytest.mark.parametrize(
    ("name", "by_line"),
    [
        ("a.json", True),
        ("a.json", False),
        ("a.jsonl", True),
        ("a", True),
        ("a", False),
        ("a.txt", True),
        ("a.csv", False),
    ],
)
def test_a_file_is_known_by_what_stands_in_it(tmp_path: Path, name: str, by_line: bool) -> None:
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, ROWS)) if by_line else json.dumps(ROWS, indent=1))
    report = check_records([path])
    assert [(one.format, one.rows) for one in report.files] == [("conversations", 6)]
    assert not report.findings


def test_tables_are_read_as_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,question,A,B,answer\n1.png,Which?,CT,MR,C\n2.png,Which?,CT,MR,A\n")
    picture = "/9j/" + "4AAQSkZJRg" * 20_000
    (tmp_path / "b.tsv").write_text(f"index\timage\tquestion\tA\tB\tanswer\n0\t{picture}\tWhich?\tCT\tMR\tB\n")
    parts = [{"role": "user", "content": "<image>Which?"}]
    table = pa.table({"prompt": [parts], "images": [[{"bytes": b"\x89PNG"}]], "reward_model": [{"ground_truth": "CT"}]})
    pq.write_table(table, tmp_path / "c.parquet")
    report = check_records([tmp_path])
    assert [(one.format, one.rows) for one in report.files] == [
        ("question and answer", 2), ("question and answer", 1), ("messages", 1),
    ]  # fmt: skip
    assert [(one.rule, one.count) for one in report.findings] == [("answer_not_an_option", 1)]


def test_a_picture_in_the_row_itself_is_there_and_known_by_its_bytes(tmp_path: Path) -> None:
    held, other = ("/9j/" + letter * 200_000 for letter in "AB")
    head = "index\timage\timage_path\tquestion\tanswer\n"
    rows = f'0\t{held}\t0.png\tWhich organ?\tlung\n1\t0\t0.png\tWhich plane?\taxial\n2\t"{other}"\t2.png\tWhich?\tCT\n'
    (tmp_path / "a_train.tsv").write_text(head + rows)
    (tmp_path / "a_test.tsv").write_text(f"{head}0\t{other}\t0.png\tWhich modality?\tCT\n9\t7\t7.png\tWhich?\tMR\n")
    report = check_records([tmp_path], images=tmp_path)
    assert [one.rows for one in report.files] == [2, 3]
    found = {(one.rule, Path(one.file).name, one.count) for one in report.findings if one.severity == "error"}
    assert found == {("missing_media", "a_test.tsv", 1), ("split_overlap", tmp_path.name, 1)}
    turns = [{"role": "user", "content": "<image>Which?"}, {"role": "assistant", "content": "CT"}]
    for split, data in (("train", b"\x89PNG1"), ("test", b"\x89PNG2")):
        table = pa.table({"messages": [turns], "images": [[{"bytes": data, "path": "a.png"}]]})
        (tmp_path / "p").mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / "p" / f"{split}.parquet")
    assert not [one for one in check_records([tmp_path / "p"], images=tmp_path).findings if one.severity == "error"]


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1}, {"a": 2},]',
        '[{"a": 1} {"a": 2}]',
        '[{"a": 1}, {"a" 2}]',
        '[{"a": 1}',
        '{"a": 1,}',
        "[1] 2",
        '["a\nb"]',
        "[,1]",
        '{"a": tru}',
    ],
)
def test_the_place_of_an_error_is_that_of_the_standard_parser(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text("\n\n  " + text)
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(path.read_text())
    with pytest.raises(JsonProblem) as problem:
        list(elements(path, "utf-8", Notes()))
    found = problem.value
    assert (found.line, found.column, found.at) == (expected.value.lineno, expected.value.colno, expected.value.pos)


def test_lists_longer_than_the_window_are_read_whole(tmp_path: Path) -> None:
    values = [{"text": "é" * (n * 997 % 60_000), "n": n} for n in range(400)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    assert [one.value for one in elements(path, "utf-8", Notes())] == values
    path.write_text(json.dumps(values, ensure_ascii=False, indent=2)[:-1] + ",]", encoding="utf-8")
    with pytest.raises(JsonProblem) as problem:
        list(elements(path, "utf-8", Notes()))
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(path.read_text(encoding="utf-8"))
    assert (problem.value.line, problem.value.at) == (expected.value.lineno, expected.value.pos)


def test_broken_files_are_findings_with_their_place(tmp_path: Path) -> None:
    cases = {
        "a.jsonl": (
            '{"question": "Q?", "answer": "A"}\n{"question": \n{"question": "R?", "answer": "B"}\n',
            "invalid_json",
            "line 2",
        ),
        "b.csv": ("image,question,answer\n1.png,Which?,CT\n2.png,Which?\n", "broken_table", "line 3"),
        "c.json": ('[{"question": "Q?", "answer": "A", "answer": "B"}]', "repeated_key", ""),
        "d.json": ('[{"question": "Q?", "answer": NaN, "image": "1.png"}]', "not_a_number", ""),
        "e.json": ("[]", "no_rows", ""),
        "f.json": ("", "invalid_json", "line 1"),
    }
    for name, (text, rule, place) in cases.items():
        path = tmp_path / name
        path.write_text(text)
        found = {one.rule: one for one in check_records([path]).findings}
        assert rule in found, name
        assert not place or found[rule].rows == (place,), name


def test_encodings_are_told_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    rows = [{"question": "有无骨折？", "answer": "无", "image": "1.png"}]
    path.write_bytes(json.dumps(rows, ensure_ascii=False).encode("gb18030"))
    report = check_records([path])
    assert [one.rule for one in report.findings] == ["encoding"]
    assert report.files[0].rows == 1
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(rows).encode())
    assert _rules(path) == {"byte_order_mark": 1}
    path.write_bytes(json.dumps(rows).encode("utf-16"))
    assert set(_rules(path)) == {"encoding", "byte_order_mark"}
    path.write_bytes(bytes(range(256)) * 8)
    assert "unrecognised" in _rules(path)


def test_a_shape_that_is_not_known_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"liver": 1, "spleen": 2}')
    report = check_records([path])
    assert report.files[0].format == "unrecognised"
    (found,) = report.findings
    assert (found.rule, found.severity) == ("unrecognised", "note") and "looked for" in found.message


def test_rows_of_several_shapes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([*ROWS, {"question": "Q?", "answer": "A", "image": "9.png"}]))
    (found,) = [one for one in check_records([path]).findings if one.rule == "mixed_shapes"]
    assert (found.count, found.of, found.rows) == (1, 7, ("row 7",))


def _write(path: Path, rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))


def test_splits_in_files_and_in_folders_that_share_images_or_subjects(tmp_path: Path) -> None:
    _write(tmp_path / "a" / "vqa_train.json", ROWS[:4])
    _write(tmp_path / "a" / "vqa_test.json", ROWS[3:])
    _write(tmp_path / "b" / "train" / "rows.json", [asked("Q?", "A.", "patient_012_1.png")])
    _write(tmp_path / "b" / "val" / "rows.json", [asked("Q?", "A.", "patient_012_2.png")])
    _write(tmp_path / "c" / "train.json", ROWS[:3])
    _write(tmp_path / "c" / "test.json", ROWS[3:])
    found = [one for one in check_records([tmp_path]).findings if one.rule == "split_overlap"]
    assert [(Path(one.file).name, one.count, one.message.split()[0]) for one in found] == [
        ("a", 1, "images"), ("b", 1, "subjects"),
    ]  # fmt: skip


def test_the_folder_that_is_named_names_no_split(tmp_path: Path) -> None:
    _write(tmp_path / "test" / "small.json", ROWS[:2])
    _write(tmp_path / "test" / "large.json", ROWS)
    assert [one.rule for one in check_records([tmp_path / "test"]).findings] == ["shared_images"]


def test_files_that_are_no_splits_only_share(tmp_path: Path) -> None:
    _write(tmp_path / "small.json", ROWS[:2])
    _write(tmp_path / "large.json", ROWS)
    (found,) = check_records([tmp_path]).findings
    assert (found.rule, found.severity, found.count) == ("shared_images", "note", 2)


def test_equal_files_and_versions_of_tables(tmp_path: Path) -> None:
    for name, cell in (("v1.csv", "3"), ("v2.csv", "4"), ("v3.csv", "3")):
        lines = [f"{n},{cell if n == 5 else n}" for n in range(9)]
        (tmp_path / name).write_text("\n".join(["item,grade", *lines]))
    found = {(one.rule, one.count, one.of) for one in check_records([tmp_path]).findings}
    assert found == {("identical_files", 1, 3), ("table_versions", 1, 9)}


def test_types_that_change_from_file_to_file(tmp_path: Path) -> None:
    _write(tmp_path / "train.json", [{"question": "Q?", "answer": "A", "image": "1.png"}])
    _write(tmp_path / "test.json", [{"question": "Q?", "answer": ["A", "B"], "image": "2.png"}])
    (found,) = [one for one in check_records([tmp_path]).findings if one.rule == "mixed_types"]
    assert Path(found.file) == tmp_path and found.count == 1


def test_paths_that_do_not_exist_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        check_records([tmp_path / "absent.json"])
    with pytest.raises(UsageError, match="no file of records"):
        check_records([tmp_path])
    _write(tmp_path / "a.json", ROWS)
    with pytest.raises(UsageError, match="no such folder"):
        check_records([tmp_path / "a.json"], images=tmp_path / "img")


def test_a_report_is_the_same_every_time(tmp_path: Path) -> None:
    _write(tmp_path / "train.json", ROWS)
    _write(tmp_path / "test.json", ROWS[2:])
    assert check_records([tmp_path]) == check_records([tmp_path])


def test_nothing_that_json_can_hold_is_a_crash(tmp_path: Path) -> None:
    rng = random.Random(7)
    junk = [
        None,
        True,
        -1,
        1e308,
        10**30,
        "",
        "<image>",
        "\ud800",
        "第三张图 <box>[[4,3,2,1]]</box>",
        [],
        {},
        [None],
        {"a": 1},
    ]
    keys = sorted(
        {"image", "images", "conversations", "messages", "chosen", "rejected", "label", "options", "answer", "question",
         "prompts", "bbox", "objects", "width", "height", "split", "id", "count", "reward_model", "tools", "text"}
    )  # fmt: skip

    def made(depth: int) -> Any:
        kind = rng.randrange(4 if depth else 2)
        if kind < 2:
            return rng.choice(junk)
        if kind == 2:
            return [made(depth - 1) for _ in range(rng.randrange(4))]
        return {
            rng.choice([*keys, "from", "role", "value", "content", "x"]): made(depth - 1)
            for _ in range(rng.randrange(5))
        }

    for name in ("a.json", "b.jsonl", "train.json", "test.json"):
        rows = [{rng.choice(keys): made(3) for _ in range(rng.randrange(7))} for _ in range(400)]
        text = "\n".join(map(json.dumps, rows)) if name.endswith("l") else json.dumps(rows)
        (tmp_path / name).write_text(text)
    report = check_records([tmp_path], images=tmp_path)
    assert sum(one.rows for one in report.files) == 1600
    assert {one.rule for one in report.findings} <= set(RULES)


def test_every_rule_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "records.md").read_text(encoding="utf-8")
    for doc in RULES.values():
        assert f"| `{doc.name}` | {doc.severity} | {doc.says} | {doc.reason} |" in page, doc.name
