"""The mutation bench: what it makes is false, the same every time, and made in ignorance of the rules."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.verify import run
from bench.verify.entries import CLEAN, EntryError, load_entries, load_folder, row_of, rows_of_folder
from bench.verify.facts import Facts, whole_box, whole_point
from bench.verify.intervals import Rate, wilson
from bench.verify.invented import outside
from bench.verify.judging import Judge
from bench.verify.made import made_rows
from bench.verify.mutators import families, kinds, mutants
from bench.verify.mutators.places import PLACE
from bench.verify.published import fact_of, judge_published, preference_files, published_rows
from bench.verify.rows import Draw, Mutant, Row
from bench.verify.table import markdown
from curate.schema import State

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench" / "verify"

ENTRY: dict[str, Any] = {
    "id": "cxr-en-t",
    "language": "en",
    "kind": "laterality",
    "image": {"modality": "radiography", "anatomy": "chest", "view": "posteroanterior", "laterality": None,
              "width": 1024, "height": 1024, "spacing_mm": None},
    "says": [{"set": "findings", "world": "open", "kind": "multilabel", "concept": "pleural effusion",
              "state": "present", "side": "left"}],
    "vocabulary": {"findings": {"concepts": ["pleural effusion", "pneumothorax"], "world": "open"}},
    "prior": False,
    "asks": {"ask": "presence", "label_set": "findings", "concept": "pleural effusion"},
    "question": "Is there a pleural effusion on this chest radiograph?",
    "answer": "Yes, there is a left pleural effusion.",
}  # fmt: skip


def _row(folder: Path, **changes: Any) -> Row:
    path = folder / "one.yaml"
    path.write_text(yaml.safe_dump([ENTRY | changes], allow_unicode=True))
    return row_of(load_entries(path)[0], "hand en dev")


def _of(row: Row, kind: str) -> list[Mutant]:
    return [mutant for mutant in mutants(row) if mutant.kind == kind]


def _answers(row: Row, kind: str) -> list[str]:
    return [mutant.answer for mutant in _of(row, kind)]


@pytest.fixture(scope="module")
def hand() -> list[Row]:
    """Every eleventh hand-written row."""
    return list(rows_of_folder())[::11]


@pytest.fixture(scope="module")
def made(hand: list[Row]) -> list[tuple[Row, Mutant]]:
    return [(row, mutant) for row in hand for mutant in mutants(row)]


# --- the clean sentences


READ = ("dev", "practice", "test")
"""The files of clean sentences that were read while rules were mended; later sets of a kind carry a number."""


def test_the_clean_files_are_well_formed_and_many() -> None:
    found = load_folder()
    count = {
        language: sum(len(found[stem]) for stem in found if stem.startswith(language)) for language in ("en", "zh")
    }
    assert {stem.rstrip("0123456789") for stem in found} == {
        f"{tongue}_{half}" for tongue in ("en", "zh") for half in (*READ, "held_out")
    }
    assert count["en"] >= 1300
    assert count["zh"] >= 600


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"answer": " "}, "empty"),
        ({"question": "<image>\nIs it?"}, "image token"),
        ({"language": "de"}, "language"),
        ({"surplus": 1}, "surplus"),
        ({"asks": {"ask": "guess"}}, "guess"),
        ({"asks": {"ask": "presence", "concept": "pleural effusion"}}, "label_set"),
        ({"asks": {"ask": "presence", "concept": "x", "label_set": "others"}}, "others"),
        ({"asks": {"ask": "compare", "concept": "x", "label_set": "findings"}}, "prior"),
        ({"says": [{"set": "findings", "kind": "multilabel", "concept": "gout"}]}, "does not name"),
        ({"says": [{"set": "others", "kind": "multilabel", "concept": "gout"}]}, "not in the vocabulary"),
        ({"says": [{"set": "findings", "kind": "box", "concept": "pneumothorax"}]}, "do not fit"),
        ({"says": [{"set": "findings", "kind": "box", "concept": "pneumothorax", "box": [9, 9, 4, 12]}]}, "no box"),
        ({"says": [{"set": "findings", "kind": "box", "concept": "pneumothorax", "box": [9, 9, 1e4, 12]}]}, "no box"),
        ({"says": [{"set": "findings", "kind": "point", "concept": "pneumothorax", "point": [1, -1]}]}, "no point"),
        ({"says": [{"set": "findings", "kind": "count", "concept": "pneumothorax", "value": 1.5}]}, "counts 1.5"),
        ({"says": [{"set": "findings", "kind": "count", "concept": "pneumothorax"}]}, "no value"),
        ({"says": [{"set": "findings", "kind": "multilabel", "concept": "pneumothorax", "image": 0}]}, "image 0"),
        ({"says": [{"set": "findings", "kind": "multilabel", "concept": "pneumothorax", "state": "maybe"}]}, "maybe"),
    ],
)
def test_a_malformed_entry_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(EntryError, match=words) as problem:
        _row(tmp_path, **changes)
    assert "one.yaml" in str(problem.value)
    assert "cxr-en-t" in str(problem.value)


def test_what_is_no_list_and_what_is_no_yaml_are_refused(tmp_path: Path) -> None:
    for text, words in (("id: x", "not a list"), ("- [", "cannot be read")):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(EntryError, match=words):
            load_entries(tmp_path / "bad.yaml")


def test_an_id_stands_in_one_file_alone(tmp_path: Path) -> None:
    for name in ("en_dev", "en_test"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump([ENTRY]))
    with pytest.raises(EntryError, match="cxr-en-t stands in en_dev"):
        load_folder(tmp_path)


def test_an_entry_becomes_a_draft_from_a_models_hand(tmp_path: Path) -> None:
    row = _row(tmp_path)
    assert row.draft.messages[0].content == "<image>\n" + ENTRY["question"]
    assert row.draft.origin == "llm"
    assert row.asks == ENTRY["asks"]
    assert (row.annotations[0].side, row.annotations[0].state) == ("left", State.PRESENT)
    assert row.draft.annotation_ids == [row.annotations[0].annotation_id]


def test_a_prior_gives_two_images_of_one_patient(tmp_path: Path) -> None:
    says = [ENTRY["says"][0] | {"image": 0}, ENTRY["says"][0] | {"image": 1, "state": "absent", "side": None}]
    asks = {"ask": "compare", "label_set": "findings", "concept": "pleural effusion"}
    row = _row(tmp_path, prior=True, says=says, asks=asks, answer="The effusion has resolved.")
    earlier, later = row.assets
    assert earlier.subject == later.subject is not None
    assert (earlier.day_offset or 0) < (later.day_offset or 0)
    assert row.draft.messages[0].content.startswith("<image>\n<image>\n")
    assert [each.asset_id for each in row.annotations] == [earlier.asset_id, later.asset_id]
    assert not _of(row, "comparison_invented")


# --- ignorance of the rules


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def test_only_the_judge_and_the_stopwatch_import_the_verifier() -> None:
    named = {
        path.name for path in BENCH.rglob("*.py") if any(name.startswith("curate.verify") for name in _imports(path))
    }
    assert named == {"judging.py", "speed.py"}
    assert not [path for path in BENCH.rglob("*.py") if "lexicons" in path.read_text().split('"""', 2)[2]]


def test_mutants_are_made_without_the_verifier_in_memory() -> None:
    code = (
        "import sys\n"
        "from bench.verify.entries import rows_of_folder\n"
        "from bench.verify.mutators import mutants\n"
        "row = next(rows_of_folder())\n"
        "assert list(mutants(row))\n"
        "print([name for name in sys.modules if name.startswith('curate.verify')])\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


# --- the mutants


def test_mutants_are_the_same_in_another_process(hand: list[Row]) -> None:
    row = hand[0]
    code = (
        "import json\n"
        "from bench.verify.entries import rows_of_folder\n"
        "from bench.verify.mutators import mutants\n"
        f"row = next(row for row in rows_of_folder() if row.row_id == {row.row_id!r})\n"
        "print(json.dumps([[m.kind, m.prompt, m.answer] for m in mutants(row)]))\n"
    )
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"})
    assert json.loads(printed.stdout) == [[m.kind, m.prompt, m.answer] for m in mutants(row)]


def test_no_text_is_made_twice_and_none_is_the_true_one(hand: list[Row]) -> None:
    for row in hand:
        whole = [(mutant.prompt, mutant.answer, mutant.constraints, repr(mutant.assets)) for mutant in mutants(row)]
        assert len(whole) == len(set(whole)), row.row_id
        assert (row.draft.messages[0].content, row.answer, None, "None") not in whole


def test_every_family_finds_something_to_change(made: list[tuple[Row, Mutant]]) -> None:
    of_tasks = {kind for name in ("choices", "knowledge", "measures", "referring") for kind in families()[name]}
    of_tasks |= {kind for kind in families()["visits"] if kind.startswith("visit_value")}  # no hand-written row is one
    silent = set(kinds()) - {mutant.kind for _, mutant in made} - of_tasks
    # The rest needs a box in words, two sides, or what one row in eleven does not hold.
    assert len(silent) < 12, silent


def test_moved_places_are_drawn_nowhere(made: list[tuple[Row, Mutant]]) -> None:
    names = {
        "place_shifted",
        "place_edge_moved",
        "place_axes_swapped",
        "place_scaled",
        "place_outside",
        "place_mirrored",
    }
    seen = 0
    for row, mutant in made:
        if mutant.kind not in names:
            continue
        facts = Facts(row)
        drawn = [whole_box(box) for boxes in facts.boxes.values() for box in boxes]
        drawn += [whole_point(point) for points in facts.points.values() for point in points]
        before = {match.group() for match in PLACE.finditer(row.draft.messages[0].content + row.answer)}
        after = {match.group() for match in PLACE.finditer(mutant.prompt + mutant.answer)}
        [new] = after - before
        assert json.loads(new) not in drawn, mutant
        seen += 1
    assert seen > 20


def test_changed_numbers_are_given_nowhere(made: list[tuple[Row, Mutant]]) -> None:
    seen = 0
    for row, mutant in made:
        if mutant.kind != "number_changed":
            continue
        was, now = (re.findall(r"\d+(?:\.\d+)?", text) for text in (row.answer, mutant.answer))
        [changed] = [new for old, new in zip(was, now, strict=True) if old != new]
        assert float(changed) not in Facts(row).numbers
        seen += 1
    assert seen > 20


def test_added_findings_are_not_stated(made: list[tuple[Row, Mutant]]) -> None:
    for row, mutant in made:
        if mutant.kind == "finding_added_from_vocabulary":
            concept = mutant.why.removeprefix("the source does not say that ").removesuffix(" is there")
            assert concept in Facts(row).vocabulary
            assert concept not in Facts(row).possible


def test_a_side_is_exchanged_only_where_there_is_one(tmp_path: Path) -> None:
    assert _answers(_row(tmp_path), "side_swapped") == ["Yes, there is a right pleural effusion."]
    assert _answers(_row(tmp_path), "both_for_one") == ["Yes, there is bilateral pleural effusion."]
    says = [ENTRY["says"][0] | {"side": "bilateral"}]
    both = _row(tmp_path, says=says, answer="Yes, there are bilateral pleural effusions.")
    assert not _answers(both, "side_swapped")
    assert "Yes, there are unilateral pleural effusions." in _answers(both, "one_for_both")


def test_a_side_is_added_only_where_none_is_known(tmp_path: Path) -> None:
    assert not _answers(_row(tmp_path), "side_added")
    unsided = _row(tmp_path, says=[ENTRY["says"][0] | {"side": None}], answer="Yes, there is a pleural effusion.")
    assert all(re.search("left|right|bilateral", answer) for answer in _answers(unsided, "side_added"))
    assert _answers(unsided, "side_added")


def test_yes_becomes_no_but_not_under_a_question_that_denies(tmp_path: Path) -> None:
    assert "No." in _answers(_row(tmp_path), "yes_no_flipped")
    denying = _row(tmp_path, question="Is there no pleural effusion?", answer="Yes, there is one on the left.")
    assert not _answers(denying, "yes_no_flipped")


def test_a_negation_goes_in_only_where_there_is_none(tmp_path: Path) -> None:
    assert _answers(_row(tmp_path), "negated") == ["Yes, there is no left pleural effusion."]
    says = [{"set": "findings", "kind": "multilabel", "concept": "pneumothorax", "state": "absent"}]
    absent = _row(
        tmp_path, says=says, asks=ENTRY["asks"] | {"concept": "pneumothorax"}, answer="No pneumothorax is seen."
    )
    assert not _answers(absent, "negated")
    assert _answers(absent, "negation_dropped") == ["Pneumothorax is seen."]


def test_of_a_list_under_one_negation_later_items_escape_it(tmp_path: Path) -> None:
    says = [{"set": "findings", "kind": "multilabel", "concept": concept, "state": "absent"}
            for concept in ("pleural effusion", "pneumothorax")]  # fmt: skip
    asks = {"ask": "findings", "label_set": "findings", "all": False}
    row = _row(tmp_path, says=says, asks=asks, answer="No pleural effusion or pneumothorax.")
    assert _answers(row, "list_negation_dropped") == ["No pleural effusion, but pneumothorax."]
    indeed = _row(tmp_path, says=says, asks=asks, answer="No pleural effusion, and indeed no fluid at all.")
    assert not _answers(indeed, "list_negation_dropped")


def test_what_cannot_be_excluded_is_not_certain(tmp_path: Path) -> None:
    says = [{"set": "findings", "kind": "multilabel", "concept": "pneumothorax", "state": "uncertain"}]
    asks = ENTRY["asks"] | {"concept": "pneumothorax"}
    row = _row(
        tmp_path, says=says, asks=asks, question="Any pneumothorax?", answer="A pneumothorax cannot be excluded."
    )
    assert _answers(row, "double_negation_broken") == ["A pneumothorax can be excluded."]
    assert _answers(row, "hedge_dropped") == ["A pneumothorax is proven."]
    assert not _answers(row, "hedge_added")


def test_zero_is_a_negation_too(tmp_path: Path) -> None:
    row = _row(
        tmp_path,
        says=[{"set": "findings", "kind": "count", "concept": "pneumothorax", "value": 0}],
        asks={"ask": "count", "label_set": "findings", "concept": "pneumothorax"},
        question="How many?",
        answer="There are 0 of them.",
    )
    assert not _answers(row, "negated")
    assert not _answers(row, "count_denied")


def test_no_severity_is_added_where_the_source_grades(tmp_path: Path) -> None:
    assert _answers(_row(tmp_path), "severity_added")
    grade = {"set": "findings", "kind": "grade", "concept": "pleural effusion", "value": 2, "text": "moderate"}
    assert not _answers(_row(tmp_path, says=[*ENTRY["says"], grade]), "severity_added")


def test_sex_is_not_invented_where_the_source_tells_it(tmp_path: Path) -> None:
    assert _answers(_row(tmp_path), "history_invented")
    sex = {"set": "findings", "kind": "attribute", "concept": "sex", "text": "female"}
    assert not _answers(_row(tmp_path, says=[*ENTRY["says"], sex]), "history_invented")


def test_chinese_texts_are_changed_in_chinese(tmp_path: Path) -> None:
    row = _row(tmp_path, language="zh", question="这张胸片上有胸腔积液吗？", answer="有，左侧胸腔积液。")
    assert _answers(row, "side_swapped") == ["有，右侧胸腔积液。"]
    assert "没有。" in _answers(row, "yes_no_flipped")
    assert any("未见胸腔积液" in answer or "无胸腔积液" in answer for answer in _answers(row, "stated_against"))
    kinds_made = {mutant.kind for mutant in mutants(row)}
    assert {
        "finding_added_from_outside",
        "comparison_invented",
        "identifier_invented",
        "foreign_sentence",
    } <= kinds_made


def test_the_terms_from_outside_are_many_and_distinct() -> None:
    for language, least in (("en", 900), ("zh", 60)):
        names = [term.name for term in outside(language)]
        assert len(names) >= least
        assert len(set(names)) > 0.97 * len(names)


def test_a_draw_walks_over_all_of_a_pool_and_repeats_itself() -> None:
    pool = list(range(37))
    assert sorted(Draw("a").walk("x", pool)) == pool
    assert list(Draw("a").walk("x", pool)) == list(Draw("a").walk("x", pool)) != list(Draw("b").walk("x", pool))
    assert Draw("a").some("x", pool, 5) == Draw("a").some("x", pool, 5)


def test_made_up_facts_bring_sides_grades_and_absences() -> None:
    rows = list(made_rows())
    assert {row.asks["ask"] for row in rows} >= {
        "caption",
        "presence",
        "findings",
        "grade",
        "class",
        "choice",
        "compare",
    }
    found = {mutant.kind for row in rows[::9] for mutant in mutants(row)}
    assert {"side_swapped", "one_for_both", "list_negation_dropped", "finding_dropped", "side_added"} <= found
    assert [row.row_id for row in rows] == [row.row_id for row in made_rows()]


def test_lies_about_choices_and_visits_are_made_of_made_up_facts_and_caught() -> None:
    rows = [row for row in made_rows() if row.kind in ("multiple_choice", "temporal")][::9]
    bench, judge = run.Bench(), Judge()
    run.judge_mutants(bench, run.judge_clean(bench, rows, judge), 4, judge)
    assert not [rate for rate in bench.clean_rates().values() if rate.hits]
    for kind in (*families()["choices"], *families()["visits"]):
        assert bench.kind_rates()[kind].n, kind
    caught = sum(bench.kind_rates().values(), Rate(0, 0))
    assert caught.hits / caught.n >= run.CAUGHT_AT_LEAST, bench.misses


# --- what is counted


def test_wilson_gives_the_intervals_of_newcombe_1998() -> None:
    """Table I of doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, method 3."""
    for hits, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson(20, 20)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 hits of 2"):
        wilson(3, 2)
    assert Rate(0, 0).share is None


def test_a_bench_without_any_rule_catches_nothing(hand: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted as caught is a refusal, and nothing else."""
    monkeypatch.setattr(Judge, "verdict", lambda *_: None)
    bench = run.Bench()
    run.judge_mutants(bench, hand[:3], 2, Judge())
    assert sum(rate.hits for rate in bench.kind_rates().values()) == 0
    assert sum(rate.n for rate in bench.kind_rates().values()) == len(bench.misses) > 50
    monkeypatch.setattr(Judge, "verdict", lambda *_: "ValueError")
    failing = run.Bench()
    assert not list(run.judge_clean(failing, hand[:3], Judge()))
    run.judge_mutants(failing, hand[:3], 2, Judge())
    assert sum(rate.hits for rate in failing.kind_rates().values()) == 0


def test_rates_are_told_with_their_number_and_interval(hand: list[Row]) -> None:
    bench, judge = run.Bench(), Judge()
    run.judge_mutants(bench, run.judge_clean(bench, hand[:4], judge), 2, judge)
    rates = run.as_json(bench)
    assert rates["caught"]["n"] == sum(rate["n"] for rate in rates["caught_by_kind"].values())
    assert rates["caught"]["n"] == sum(rate["n"] for rate in rates["caught_by_family"].values())
    assert rates["clean_refused"]["hand en dev"]["n"] == 4
    low, high, n = (rates["caught"][key] for key in ("low", "high", "n"))
    assert f"| **all** | {n:,} | {rates['caught']['share']:.2%} | {low:.2%} to {high:.2%} |" in markdown(rates)


def test_mutants_are_chosen_by_hash_and_not_by_order(hand: list[Row]) -> None:
    def chosen(rows: list[Row]) -> set[tuple[str, str, str]]:
        return {(row.row_id, mutant.kind, repr(mutant)) for row, mutant in run.chosen_mutants(rows, 2)}

    assert chosen(hand[:12]) == chosen(hand[:12][::-1])
    assert max(sum(kind == each for _, kind, _ in chosen(hand[:12])) for each in kinds()) == 2


HAND_REFUSED_AT_MOST = {"read": 0.07, "held out": 0.25, "new": 0.5}
"""What is true of a sample of the hand-written sentences today: of those that were read while rules were mended, of
those that nobody has read, and of the sets with a number, of which few were mended. The goal is
`run.REFUSED_AT_MOST`, which our own templates meet; `docs/verification.md` has the rates."""


def standing(group: str) -> str:
    """How far a group of sentences is known to those who mend rules."""
    return "held out" if group.endswith("held out") else "new" if group[-1].isdigit() else "read"


def test_a_small_sample_of_lies_is_caught_and_true_sentences_are_refused_no_more_than_measured(hand: list[Row]) -> None:
    bench, judge = run.Bench(), Judge()
    accepted = list(run.judge_clean(bench, hand, judge))
    run.judge_mutants(bench, accepted, 12, judge)
    caught = sum(bench.kind_rates().values(), Rate(0, 0))
    assert caught.n > 500
    assert caught.hits / caught.n >= run.CAUGHT_AT_LEAST, f"{caught.n - caught.hits} of {caught.n} survive"
    for kind, bound in HAND_REFUSED_AT_MOST.items():
        groups = bench.clean_rates().items()
        refused = sum((rate for group, rate in groups if standing(group) == kind), Rate(0, 0))
        assert refused.hits / refused.n <= bound, f"{refused.hits} of {refused.n} that are {kind} are refused"


# --- published pairs


@pytest.mark.parametrize(
    ("question", "chosen", "kind"),
    [
        ("Does the picture contain liver?", "Yes", "presence, yes"),
        ("Does the picture contain liver?", "**** No", "presence, no"),
        ("Is there small bowel in this image?", "No, there is no small bowel.", "presence, no"),
        ("How many kidneys in this image?", "2", "count"),
        ("What modality is used to take this image?", "CT scan", "modality"),
        ("Is this an MRI scan?", "No, this is a CT scan.", "modality asked for, no"),
        ("What is the scanning plane of this image?", "Transverse Plane (Axial)", "view"),
        ("Which plane is the image scanned, transverse plane or coronal plane?", "Coronal Plane", "view of several"),
        ("Which part of the body does this image belong to?", "Pelvic Cavity", "anatomy"),
    ],
)
def test_a_plain_answer_gives_a_fact(question: str, chosen: str, kind: str) -> None:
    fact = fact_of(question, chosen)
    assert fact is not None
    assert fact.kind == kind


@pytest.mark.parametrize(
    ("question", "chosen"),
    [
        ("Does the picture contain the organ which has the effect of gas delivery?", "No"),
        ("Is the lung healthy?", "Yes"),
        ("Does the picture contain liver?", "Yes, and it is enlarged."),
        ("Is this an MRI image with T1 weighted?", "Yes"),
        ("Is this an MRI scan?", "No"),
        ("How many kinds of abnormalities are there in this image?", "2"),
        ("What modality is used to take this image?", "MRI, T2 weighted, of the brain of a child"),
        ("How to treat the most severe disease in this image?", "Surgery"),
    ],
)
def test_what_is_not_plain_is_left_out(question: str, chosen: str) -> None:
    assert fact_of(question, chosen) is None


def test_published_pairs_are_read_from_any_file_of_that_shape(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "<image>\nDoes the picture contain liver?"}, {"from": "gpt", "value": "Yes"}]
    lines = [
        {
            "image": "a.png",
            "conversations": turns,
            "rejected_conversations": [turns[0], {"from": "gpt", "value": "No"}],
        },
        {"image": "b.png", "conversations": turns, "rejected_conversations": turns},
    ]
    path = tmp_path / "others.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(preference_files(tmp_path)) == [path]
    row, rejected, _ = next(published_rows(path))
    assert row is not None
    assert (row.annotations[0].concept, row.annotations[0].state, rejected) == ("liver", State.PRESENT, "No")
    rates = judge_published(path, Judge())
    assert (rates.pairs, rates.identical) == (2, 1)
    assert rates.rejected["presence, yes"] == Rate(1, 1)
    assert rates.chosen["presence, yes"] == Rate(1, 1)


def test_the_published_records_hold_enough_plain_facts(test_data: Any) -> None:
    paths = list(preference_files(test_data("seed-records")))
    assert paths
    rows = [row for path in paths for row, _, _ in published_rows(path)]
    assert sum(row is not None for row in rows) > 1000
    assert len({row.kind for row in rows if row}) >= 8


def test_the_clean_folder_is_the_one_that_is_shipped() -> None:
    assert CLEAN == BENCH / "clean"
    assert (CLEAN / "README.md").is_file()
