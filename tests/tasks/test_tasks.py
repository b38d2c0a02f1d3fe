"""What is asked and told about real and hand-built images, and what must never be."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from curate.errors import RecipeError
from curate.rows import Brief, Draft, Subject
from curate.schema import Form, Kind, Origin, State, World
from curate.tasks import make_task
from curate.vocabulary import LabelNames
from tests.tasks import subjects as s


def _texts(drafts: list[Draft]) -> str:
    return "\n".join(message.content for draft in drafts for message in draft.messages)


def _exchanges(drafts: list[Draft]) -> list[tuple[str, str]]:
    return [(d.messages[0].content.removeprefix("<image>\n"), d.messages[1].content) for d in drafts]


def test_every_first_turn_begins_with_the_image_and_every_draft_names_its_asset() -> None:
    for subject in s.hand_built():
        for draft in s.drafts_of(subject):
            assert draft.messages[0].content.startswith("<image>\n")
            turns = [message.role for message in draft.messages]
            assert turns == ["user", "assistant"] * (len(turns) // 2)
            assert draft.asset_ids == [subject.asset.asset_id]
            assert set(draft.annotation_ids) <= {a.annotation_id for a in subject.annotations}


def test_drafts_are_unique_and_do_not_depend_on_the_order_of_annotations() -> None:
    shuffle = random.Random(7).sample
    for subject in s.hand_built():
        drafts = s.drafts_of(subject, variants=3)
        mixed = Subject(subject.asset, tuple(shuffle(subject.annotations, len(subject.annotations))))
        again = {draft.draft_id: draft for draft in s.drafts_of(mixed, variants=3)}
        assert len({draft.draft_id for draft in drafts}) == len(drafts)
        assert set(again) == {draft.draft_id for draft in drafts}
        for draft in drafts:
            if draft.task not in ("label_caption", "open_vqa"):
                assert again[draft.draft_id].messages == draft.messages


def test_variants_of_one_draft_are_worded_differently() -> None:
    drafts = s.drafts_of(s.smear("v", "eel"), ("count",), variants=8)
    by_question: dict[str, set[str]] = {}
    for draft in drafts:
        by_question.setdefault(draft.constraints, set()).add(draft.wording)
    assert all(len(wordings) == 8 for wordings in by_question.values())


def test_open_world_silence_is_never_told_as_absence() -> None:
    drafts = s.drafts_of(s.chest("open", World.OPEN, Cardiomegaly="present"))
    assert "pneumothorax" not in _texts(drafts).lower()
    assert not any(a.startswith("No") and "modality" not in q and "view" not in q
                   for q, a in _exchanges(drafts) if "cardiomegaly" in q)  # fmt: skip
    assert all("all" not in q.lower().split() for q, _ in _exchanges(drafts))


def test_a_complete_set_yields_as_many_no_as_yes_and_one_more() -> None:
    subject = s.chest("full", World.COMPLETE, Cardiomegaly="present", Edema="present")
    answers = [answer for _, answer in _exchanges(s.drafts_of(subject, ("closed_vqa",)))]
    n_yes = sum(answer.startswith("Yes") for answer in answers)
    n_no = sum(answer.startswith("No") for answer in answers)
    assert n_yes >= 2
    assert 0 < n_no <= n_yes + 1


def test_silence_needs_a_label_set_that_looked_at_the_image() -> None:
    subject = s.chest("unseen", World.COMPLETE, Cardiomegaly="present")
    unseen = Subject(msgspec.structs.replace(subject.asset, labelled_by=[]), subject.annotations)
    assert all(json.loads(d.constraints).get("concept") in (None, "Cardiomegaly") for d in s.drafts_of(unseen))


def test_an_exclusive_set_without_its_label_says_nothing_by_silence() -> None:
    shown = s.asset("x", labelled_by=["disease"])
    label = s.says(shown, Kind.CLASS, "HE", "disease", 0, state=State.UNCERTAIN, world=World.EXCLUSIVE)
    assert s.drafts_of(Subject(shown, (label,)), ("closed_vqa",)) == []


@pytest.mark.parametrize(
    ("concept", "told"),
    [("lung", "the lungs"), ("Pleural Effusion", "bilateral pleural effusions"), ("Edema", "bilateral edema")],
)
def test_what_is_on_both_sides_is_told_as_one_would(concept: str, told: str) -> None:
    shown = s.asset("both", modality="CT", anatomy="chest", labelled_by=["findings"])
    said = tuple(
        s.says(shown, Kind.MULTILABEL, concept, "findings", number, state=State.PRESENT, side=side)
        for number, side in enumerate(("left", "right"))
    )
    text = _texts(s.drafts_of(Subject(shown, said), ("label_caption", "closed_vqa"), variants=4)).lower()
    assert told in text
    assert "a bilateral" not in text
    assert "is the lungs" not in text


def test_paired_anatomy_that_is_not_there_is_not_sought_like_a_finding() -> None:
    shown = s.asset("empty", modality="CT", anatomy="abdomen", labelled_by=["findings"])
    said = s.says(shown, Kind.MULTILABEL, "kidney", "findings", 0, state=State.ABSENT)
    text = _texts(s.drafts_of(Subject(shown, (said,)), ("closed_vqa",), variants=20)).lower()
    assert "the kidneys are not visible" in text
    assert "a kidney" not in text


def test_parts_of_the_body_named_together_are_several() -> None:
    told = _texts(s.drafts_of(s.lettered("torso", anatomy="chest and abdomen"), ("open_vqa",), variants=40))
    assert "The chest and abdomen are shown." in told
    assert "abdomen is shown" not in told


def test_what_is_uncertain_is_hedged_and_not_asked_closed() -> None:
    subject = s.chest("maybe", World.COMPLETE, Pneumonia="uncertain")
    assert all("pneumonia" not in q.lower() for q, _ in _exchanges(s.drafts_of(subject, ("closed_vqa",))))
    caption = s.drafts_of(subject, ("label_caption",))[0].messages[1].content
    assert any(word in caption for word in ("possible", "may be", "cannot be excluded", "equivocal", "uncertain"))


def test_what_is_not_stated_is_not_mentioned() -> None:
    subject = s.chest("silent", World.OPEN, Edema="not_stated", Consolidation="absent")
    assert "edema" not in _texts(s.drafts_of(subject)).lower()


def test_a_finding_with_contradicting_states_is_left_out() -> None:
    subject = s.chest("both", World.OPEN, Edema="present")
    against = s.says(subject.asset, Kind.MULTILABEL, "Edema", "other", 9, state=State.ABSENT)
    drafts = s.drafts_of(Subject(subject.asset, (*subject.annotations, against)))
    assert "edema" not in _texts(drafts).lower()


def test_laboratory_values_age_and_sex_are_never_asked_about() -> None:
    text = _texts(s.drafts_of(s.graded("lab", 2.0), variants=5)).lower()
    assert "retinopathy grade" in text
    assert not any(word in text for word in ("c-reactive", "mg/l", "female", "sex"))


def test_sides_are_those_of_the_patient_and_stand_with_their_finding() -> None:
    subject = s.chest("sided", World.OPEN, sides=True, Pleural__Effusion="present")
    assert "left pleural effusion" in s.drafts_of(subject, ("label_caption",))[0].messages[1].content.lower()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [("eeeeelp", {"5 erythrocytes", "1 leukocyte", "1 platelet"}), ("e", {"1 erythrocyte", "no leukocytes"})],
)
def test_counts_agree_in_number(cells: str, expected: set[str]) -> None:
    text = _texts(s.drafts_of(s.smear("n" + cells, cells), ("count",), variants=5)).lower()
    assert all(words in text for words in expected)


def test_nothing_is_counted_where_not_every_object_is_marked() -> None:
    assert s.drafts_of(s.smear("some", "eel", exhaustive=False), ("count",)) == []
    boxes = s.drafts_of(s.smear("some", "eel", exhaustive=False), ("grounding",))
    located = [d for d in boxes if json.loads(d.constraints)["ask"] == "locate"]
    assert all(len(json.loads(d.messages[1].content)) == 1 for d in located)
    assert "all erythrocytes" not in _texts(boxes)


def test_an_empty_image_counts_zero_only_where_its_silence_is_known() -> None:
    empty = s.smear("empty", "")
    told = {a for _, a in _exchanges(s.drafts_of(empty, ("count",)))}
    assert len(told) == 3
    assert all(" no " in f" {a.lower()} " or " 0 " in f" {a} " for a in told)
    plain = {"cells": LabelNames(s.CELLS)}
    assert list(make_task("count", {}, plain).draft(empty)) == []


def test_a_crowd_region_cannot_be_counted() -> None:
    subject = s.smear("crowd", "eee")
    crowd = msgspec.structs.replace(subject.annotations[0], flags=["crowd"])
    drafts = s.drafts_of(Subject(subject.asset, (crowd, *subject.annotations[1:])), ("count",))
    assert all(json.loads(d.constraints).get("concept") != "erythrocyte" for d in drafts)


def test_stated_counts_are_told_and_conflicting_ones_are_not() -> None:
    shown = s.asset("counted", labelled_by=["table"])
    seven = s.says(shown, Kind.COUNT, "erythrocyte", "table", 0, value=7.0)
    eight = s.says(shown, Kind.COUNT, "erythrocyte", "table", 1, value=8.0)
    assert "7 erythrocytes" in _texts(s.drafts_of(Subject(shown, (seven,)), ("count",)))
    assert s.drafts_of(Subject(shown, (seven, eight)), ("count",)) == []


def test_boxes_are_rounded_outwards_and_the_size_of_the_image_is_stated() -> None:
    shown = s.asset("round", labelled_by=["cells"])
    one = s.says(shown, Kind.BOX, "platelet", "cells", 0, box=[10.5, 20.0, 30.2, 639.9 - 200], exhaustive=True)
    question, answer = _exchanges(s.drafts_of(Subject(shown, (one,)), ("grounding",)))[0]
    assert json.loads(answer) == [[10, 20, 31, 440]]
    assert "640" in question
    assert "480" in question


def test_too_many_objects_are_not_asked_for_at_once() -> None:
    crowded = s.smear("crowded", "e" * 21 + "l")
    asked = [json.loads(d.constraints) for d in s.drafts_of(crowded, ("grounding",))]
    assert [a["concept"] for a in asked if a["ask"] == "locate"] == ["leukocyte"]


def test_points_are_pixels_and_as_many_as_there_are() -> None:
    drafts = s.drafts_of(s.smear("dots", "eeel", kind=Kind.POINT), ("points",))
    lists = [json.loads(draft.messages[1].content) for draft in drafts]
    assert [len(places) for places in lists] == [3, 1]
    assert lists[0][0] == [7, 11]


def test_the_words_of_the_source_are_delivered_as_they_stand() -> None:
    draft = s.drafts_of(s.asked("rad", "Is there evidence of a pneumothorax", "No"), ("source_qa",))[0]
    assert draft.origin is Origin.SOURCE
    assert _exchanges([draft]) == [("Is there evidence of a pneumothorax", "No")]


def test_labels_that_cannot_stand_in_a_sentence_are_left_out() -> None:
    shown = s.asset("odd", labelled_by=["odd"])
    for label in ("<image>", "{x}", "  ", "---"):
        odd = s.says(shown, Kind.CLASS, label, "odd", 0, state=State.PRESENT, world=World.EXCLUSIVE)
        drafts = [
            d
            for t in s.OF_ONE
            for d in make_task(t, {}, {"odd": LabelNames((label, "x"))}).draft(Subject(shown, (odd,)))
        ]
        assert label not in "".join(draft.messages[1].content for draft in drafts)


def test_real_blood_smears_are_counted_as_their_files_say(test_data: Callable[[str], Path]) -> None:
    for subject in s.voc_subjects(test_data("bccd"), limit=40):
        n_red = sum(annotation.concept == "erythrocyte" for annotation in subject.annotations)
        counts = [
            d for d in s.drafts_of(subject, ("count",)) if json.loads(d.constraints).get("concept") == "erythrocyte"
        ]
        assert len(counts) == 1
        assert (str(n_red) if n_red else "no") in counts[0].messages[1].content.lower()


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"modality": "CR", "anatomy": "CSPINE", "view": "LL"}, {"radiography", "the cervical spine", "left lateral"}),
        ({"modality": "NM", "anatomy": "WHOLE BODY"}, {"nuclear medicine imaging", "the whole body"}),
        ({"modality": "MG", "anatomy": "BREAST", "laterality": "right"}, {"mammography", "the right breast"}),
        ({"anatomy": "bone marrow"}, {"bone marrow"}),
    ],
)
def test_codes_of_headers_are_put_into_words(attributes: dict[str, str], said: set[str]) -> None:
    subject = s.lettered("codes" + str(attributes), **attributes)
    answers = " ".join(a for _, a in _exchanges(s.drafts_of(subject, ("open_vqa",), max_attributes=4))).lower()
    assert all(words in answers for words in said)
    assert not any(code.lower() in answers.split() for code in ("CR", "CSPINE", "LL", "NM", "MG"))


@pytest.mark.parametrize("code", ["OT", "SEG", "RTDOSE", "SC", "XQ9"])
def test_a_code_that_tells_nobody_anything_is_not_spoken(code: str) -> None:
    assert s.drafts_of(s.lettered("silent" + code, modality=code)) == []
    assert s.drafts_of(s.lettered("silent part" + code, anatomy=code)) == []


def test_few_questions_are_asked_about_what_every_image_of_a_source_is() -> None:
    subject = s.lettered("many", modality="CR", anatomy="CHEST", view="PA", laterality="left")
    assert len(s.drafts_of(subject, ("open_vqa",))) == 1
    assert len(s.drafts_of(subject, ("closed_vqa",))) == 1
    assert len(s.drafts_of(subject, ("open_vqa",), max_attributes=9)) == 4
    assert s.drafts_of(subject, ("open_vqa",), max_attributes=0) == []


def test_an_image_of_which_only_its_kind_is_known_has_no_caption() -> None:
    assert s.drafts_of(s.lettered("plain", modality="CR", anatomy="CHEST", view="PA"), ("label_caption",)) == []


@pytest.mark.parametrize(("form", "called"), [(Form.VOLUME, "scan"), (Form.VIDEO, "video")])
def test_the_caption_of_a_volume_or_video_nowhere_says_image(form: Form, called: str) -> None:
    told = ""
    for number in range(30):
        shown = s.asset(f"{form}{number}", form=form, modality="CT", labelled_by=["findings"])
        said = [
            s.says(shown, Kind.CLASS, "benign", "findings", 0, state=State.PRESENT),
            s.says(shown, Kind.MULTILABEL, "nodule", "findings", 1, state=State.PRESENT),
            s.says(shown, Kind.MULTILABEL, "edema", "findings", 2, state=State.ABSENT),
        ]
        told += _texts(s.drafts_of(Subject(shown, tuple(said)), ("label_caption",))).replace("<image>", "")
    assert f"The {called} " in told
    assert "image" not in told.lower()


def test_a_caption_does_not_say_that_an_image_is_an_image() -> None:
    for number in range(8):
        caption = s.drafts_of(s.classified(f"bare{number}", "Thalassemia"), ("label_caption",))[0].messages[1].content
        assert "image." not in caption
        assert "thalassemia" in caption.lower()


def test_organs_of_a_label_map_are_shown_or_not_and_never_counted() -> None:
    subject = s.organs("once")
    assert s.drafts_of(subject, ("count",)) == []
    about_this_image = [one for one in s.drafts_of(subject, variants=30) if one.task != "descriptors"]
    text = _texts(about_this_image).lower()
    assert "the heart" in text
    assert "the left lung" in text
    assert not any(words in text for words in ("hearts", "a heart", "lungs", "a left lung", " any "))
    assert list(make_task("count", {}, s.VOCABULARY).draft(s.lesions("none"))) == []


@pytest.mark.parametrize(("second", "counts", "places"), [("ee", ["2"], 1), ("eee", [], 0)])
def test_what_two_label_sets_mark_is_asked_once_and_only_where_they_agree(
    second: str, counts: list[str], places: int
) -> None:
    """Two readers of one field: the same question would have two answers."""
    first = s.smear("read twice", "ee")
    again = [
        msgspec.structs.replace(one, annotation_id=f"again {number}", label_set="again")
        for number, one in enumerate(s.smear("read twice", second).annotations)
    ]
    asset = msgspec.structs.replace(first.asset, labelled_by=["again", "cells"])
    subject = Subject(asset, (*first.annotations, *again))
    names = {"cells": LabelNames(("erythrocyte",), exhaustive=True), "again": LabelNames(("erythrocyte",))}
    told = {
        task: [one.messages for one in make_task(task, {}, names).draft(subject) if isinstance(one, Draft)]
        for task in ("count", "grounding")
    }
    assert [re.findall(r"\d+", answer.content) for _, answer in told["count"]] == [[number] for number in counts]
    located = [question for question, _ in told["grounding"] if "JSON list" in question.content]
    assert len(located) == places


def test_a_region_of_a_label_map_is_located_as_one_region() -> None:
    drafts = s.drafts_of(s.lesions("areas", "edema", "enhancing tumor"), ("grounding",), variants=20)
    text = _texts(drafts)
    assert "the region of edema" in text
    assert "edemas" not in text
    assert "all " not in text
    assert s.drafts_of(s.lesions("areas", "edema"), ("count",)) == []


def test_anatomy_that_is_there_once_is_not_counted_whatever_marks_it() -> None:
    shown = s.asset("boxed", labelled_by=["boxes"])
    heart = s.says(shown, Kind.BOX, "Heart", "boxes", 0, box=[10.0, 10, 90, 90], exhaustive=True)
    assert s.drafts_of(Subject(shown, (heart,)), ("count",)) == []
    assert "the heart" in _texts(s.drafts_of(Subject(shown, (heart,)), ("grounding",)))


def test_a_class_is_what_the_image_is_labelled_not_what_it_shows() -> None:
    text = _texts(s.drafts_of(s.classified("diagnosis", "Thalassemia"), variants=30)).lower()
    assert any(words in text for words in ("classified as thalassemia", "labeled thalassemia"))
    for words in ("shows thalassemia", "there is thalassemia", "is seen", "evidence of", "is present"):
        assert words not in text


def test_answers_that_can_only_be_yes_are_few() -> None:
    drafts = s.drafts_of(s.smear("yes", "eelp", exhaustive=False), ("closed_vqa",))
    assert len(drafts) == 1
    assert len(s.drafts_of(s.smear("yes", "eelp", exhaustive=False), ("closed_vqa",), surplus_yes=9)) == 3


def test_a_box_of_hardly_a_pixel_is_not_asked_about_and_the_others_are_not_all() -> None:
    shown = s.asset("tiny", labelled_by=["cells"])
    boxes = [[10.0, 10, 50, 50], [60.0, 60, 99, 99], [503.0, 336, 504, 337]]
    cells = [s.says(shown, Kind.BOX, "platelet", "cells", n, box=box, exhaustive=True) for n, box in enumerate(boxes)]
    drafts = s.drafts_of(Subject(shown, tuple(cells)), ("grounding",), regions=9)
    assert "503" not in _texts(drafts)
    assert [json.loads(d.constraints)["all"] for d in drafts if json.loads(d.constraints)["ask"] == "locate"] == [False]
    whole = s.drafts_of(Subject(shown, tuple(cells)), ("grounding",), min_side_px=1)
    assert "[503, 336, 504, 337]" in _texts(whole)


def test_an_unknown_task_and_an_unknown_setting_are_errors_of_the_recipe() -> None:
    with pytest.raises(RecipeError, match=r"no task is called 'counting'; known tasks: .*count"):
        make_task("counting", {}, {})
    with pytest.raises(RecipeError, match=r"did you mean `max_objects`"):
        make_task("points", {"max_object": 3}, {})


def test_the_form_of_coordinates_has_a_chinese_sentence_for_a_chinese_rewriting() -> None:
    located = [draft for draft in s.drafts_of(s.smear("chinese", "elp")) if draft.task == "grounding"]
    briefs = [msgspec.json.decode(draft.brief or "", type=Brief) for draft in located]
    assert briefs
    for brief in briefs:
        assert brief.zh.keys() == {"form", "frame"} & set(brief.fixed)
        assert all("像素" in words and "640" in words for words in brief.zh.values())
