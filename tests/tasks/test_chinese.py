"""What is drafted in English is drafted in Chinese from the same annotations, in words that another reader knows."""

import importlib.resources
import json
import re
from collections import Counter
from typing import Any

import msgspec
import pytest
import yaml

from curate.errors import RecipeError
from curate.rows import Annotation, Asset, Draft, Message, Subject
from curate.schema import Form, Kind, Reason, Refusal, State, Verdict, World
from curate.tasks import make_task, task_class, task_names
from curate.tasks.base import SpokenOptions
from curate.tasks.chinese import NoTermError, counted_in_chinese, noun_in_chinese, term
from curate.tasks.wording import load, sentences_of
from curate.verify import Verifier
from curate.verify.chinese import words
from curate.verify.lexicon import concept_key, general_index, vocabulary_index
from tests.tasks import subjects as s

SPOKEN = tuple(name for name in task_names() if issubclass(task_class(name).Options, SpokenOptions))
OF_ASSETS = tuple(name for name in SPOKEN if task_class(name).scope == "asset")
LATIN_ALLOWED = re.compile(
    r"JSON|CT|PET|X线|\bx[01]?\b|\by[01]?\b|(?m:^[A-E]\.)|[（(]?[A-E][）)]?(?=[.：，）)]|$)|<image>"
)
ZH = importlib.resources.files("curate.tasks").joinpath("wordings", "zh")


def yielded(subject: Subject, name: str, **options: Any) -> list[Draft | Refusal]:
    return list(make_task(name, options, s.VOCABULARY, variants=2).draft(subject))  # type: ignore[arg-type]


def drafted(subject: Subject, name: str, **options: Any) -> list[Draft]:
    return [one for one in yielded(subject, name, **options) if isinstance(one, Draft)]


def everything() -> list[tuple[str, Subject]]:
    return [(name, subject) for name in OF_ASSETS for subject in s.hand_built()]


def words_of_terms() -> dict[str, str]:
    groups = yaml.safe_load(ZH.joinpath("terms.yaml").read_text("utf-8"))
    return {
        english: said if isinstance(said, str) else said[0]
        for group in groups.values()
        for english, said in group.items()
    }


def test_every_task_of_before_speaks_chinese() -> None:
    assert {
        "closed_vqa", "count", "grounding", "label_caption", "multiple_choice", "open_vqa", "points", "temporal",
    } <= set(SPOKEN)  # fmt: skip


@pytest.mark.parametrize("name", SPOKEN)
def test_both_languages_have_wordings_for_the_same_questions(name: str) -> None:
    english, chinese = load(name), load(name, "zh")
    assert set(english) == set(chinese)
    for question, exchange in chinese.items():
        for pool in (exchange.ask, exchange.tell):
            assert len(set(pool)) == len(pool), question
        for text in (*exchange.ask, *exchange.tell):
            bare = re.sub(r"\{\w+\}", "", text)
            assert not re.search(r"[A-Za-z]{2,}", bare.replace("JSON", "")), f"{name}/{question} holds English: {text}"


def test_the_sentences_of_captions_say_the_same_kinds_of_things_in_both_languages() -> None:
    for kind in ("present", "label", "uncertain", "unseen", "absent", "grade"):
        assert sentences_of(kind)
        pool = sentences_of(kind, "zh")
        assert len(set(pool)) == len(pool)
        assert not any(re.search(r"[A-Za-z]", re.sub(r"\{\w+\}", "", sentence)) for sentence in pool)


@pytest.mark.parametrize("language", [["en"], None])
def test_english_is_what_it_was_whether_or_not_chinese_is_asked_for(language: list[str] | None) -> None:
    for name, subject in everything():
        alone = drafted(subject, name) if language is None else drafted(subject, name, languages=language)
        both = [one for one in drafted(subject, name, languages=["en", "zh"]) if one.language == "en"]
        assert alone == both


def test_drafts_of_one_thing_in_two_languages_share_what_they_rest_on_and_no_id() -> None:
    for name, subject in everything():
        drafts = drafted(subject, name, languages=["en", "zh"])
        if any(isinstance(one, Refusal) for one in yielded(subject, name, languages=["zh"])):
            continue
        rests = [
            Counter(
                (d.constraints, tuple(d.annotation_ids), tuple(d.asset_ids), d.variant)
                for d in drafts
                if d.language == lang
            )
            for lang in ("en", "zh")
        ]
        said_once = {key for key, times in rests[1].items() if times == rests[0][key]}
        assert said_once == set(rests[1]), f"{name}: a Chinese draft without its English one"
        assert len({draft.draft_id for draft in drafts}) == len(drafts)


def test_no_english_stands_within_chinese() -> None:
    seen = 0
    for name, subject in everything():
        for draft in drafted(subject, name, languages=["zh"]):
            for message in draft.messages:
                assert not re.search(r"[A-Za-z]", LATIN_ALLOWED.sub("", message.content)), message.content
                seen += 1
    assert seen > 1000


def test_the_verifier_accepts_what_is_drafted() -> None:
    verifier = Verifier(s.VOCABULARY)
    accepted = 0
    for name, subject in everything():
        for draft in drafted(subject, name, languages=["zh"]):
            refusal = verifier.verify(draft, (subject.asset,), subject.annotations).refusal
            assert refusal is None, (draft.messages, refusal)
            accepted += 1
    assert accepted > 500


def _lies(draft: Draft) -> list[tuple[str, str]]:
    """Answers that say the opposite, another number, another finding, another side."""
    answer = draft.messages[-1].content
    turned = (
        ("是的，", "否，"), ("可见", "未见"), ("未见", "可见"), ("没有", "有"), ("左", "右"), ("红细胞", "血小板"),
        ("气胸", "肺炎"), ("心影增大", "肺水肿"), ("可能", "肯定"),
    )  # fmt: skip
    told = [(old, answer.replace(old, new)) for old, new in turned if old in answer and len(answer) > len(old) + 1]
    if number := re.search(r"(?<![\d\[])\d+(?=个)", answer):
        told.append(("number", answer.replace(number[0], str(int(number[0]) + 1), 1)))
    return told


def test_the_verifier_refuses_the_same_answers_when_they_lie() -> None:
    verifier = Verifier(s.VOCABULARY)
    caught, missed = 0, []
    for name, subject in everything():
        if name not in ("closed_vqa", "count", "label_caption"):
            continue
        for draft in drafted(subject, name, languages=["zh"]):
            for kind, answer in _lies(draft):
                lie = msgspec.structs.replace(draft, messages=[draft.messages[0], Message("assistant", answer)])
                if verifier.verify(lie, (subject.asset,), subject.annotations).refusal is None:
                    missed.append((kind, draft.messages[0].content, draft.messages[1].content, answer))
                else:
                    caught += 1
    assert caught > 150
    assert not missed, missed[:5]


def test_every_term_is_read_as_the_concept_that_it_names_by_a_lexicon_of_others() -> None:
    index = (general_index(), vocabulary_index(frozenset(words_of_terms())))
    for english, chinese in words_of_terms().items():
        sentence = f"图像中可见{chinese}。"
        read = words(sentence, index)
        if concept_key(english) not in read.concepts:  # a source that has no near synonym of it beside it
            read = words(sentence, (general_index(), vocabulary_index(frozenset({english}))))
        assert concept_key(english) in read.concepts, (english, chinese)
        assert not read.strange, (english, chinese)


def test_no_two_concepts_that_a_set_may_tell_apart_have_one_name() -> None:
    """Names that are one in Chinese are synonyms in English too."""
    shared = {name for name, times in Counter(words_of_terms().values()).items() if times > 1}
    groups = {name: {english for english, said in words_of_terms().items() if said == name} for name in shared}
    allowed = [
        {"infiltrate", "infiltration"}, {"chronic obstructive pulmonary disease", "copd"}, {"erythrocyte", "rbc"},
        {"interstitial lung disease", "ild"}, {"leukocyte", "wbc"}, {"ground glass opacity", "ggo"},
        {"thyroid", "thyroid gland"}, {"chest", "thorax"}, {"small bowel", "small intestine"},
        {"bladder", "urinary bladder"}, {"ascites", "peritoneal fluid"},
    ]  # fmt: skip
    assert all(group in allowed for group in groups.values()), groups


def test_a_concept_without_a_chinese_name_is_told_and_not_spelt() -> None:
    shown = s.asset("odd", modality="CR", anatomy="chest", labelled_by=["findings"])
    said = s.says(shown, Kind.MULTILABEL, "Quux sign", "findings", 0, state=State.PRESENT)
    both = yielded(Subject(shown, (said,)), "closed_vqa", languages=["en", "zh"], max_attributes=0)
    assert [one.language for one in both if isinstance(one, Draft)] == ["en", "en"]
    assert [one for one in both if isinstance(one, Refusal)] == [
        Refusal(Reason.NO_TERM, "no zh name is reviewed for 'Quux sign'", Verdict.FILTERED)
    ]


def test_a_long_name_is_not_shown_in_a_message() -> None:
    text = "patient seen by someone on a day in a place, with a long story that no message may repeat"
    with pytest.raises(NoTermError) as caught:
        term(text)
    assert "patient" not in str(caught.value)


def test_an_image_whose_modality_has_no_chinese_name_is_not_asked_about() -> None:
    shown = s.asset("odd", modality="thermography", anatomy="chest", labelled_by=["findings"])
    said = s.says(shown, Kind.MULTILABEL, "Pneumonia", "findings", 0, state=State.PRESENT)
    assert drafted(Subject(shown, (said,)), "closed_vqa", languages=["zh"], max_attributes=0) == []


def test_a_concept_that_its_source_names_in_chinese_stands_as_it_is() -> None:
    assert term("肺炎") == "肺炎"
    with pytest.raises(NoTermError):
        term("肺炎 pneumonia")


@pytest.mark.parametrize(
    ("name", "chinese"),
    [
        ("left kidney", "左肾"),
        ("right upper lung lobe", "右肺上叶"),
        ("T12 vertebra", "第12胸椎"),
        ("left rib 8", "左侧第8肋骨"),
        ("Pleural_Effusion", "胸腔积液"),
        ("left pleural effusion", "左侧胸腔积液"),
        ("RBC", "红细胞"),
        ("nuclei", "细胞核"),
    ],
)
def test_names_with_sides_and_numbers(name: str, chinese: str) -> None:
    assert term(name) == chinese


@pytest.mark.parametrize("name", ["HE", "ILS", "XY", "10", "Quux"])
def test_a_short_code_that_may_mean_many_things_has_no_name(name: str) -> None:
    with pytest.raises(NoTermError):
        term(name)


def test_what_is_counted_takes_its_measure_word() -> None:
    assert counted_in_chinese("erythrocyte", 3) == "3个红细胞"
    assert counted_in_chinese("Fracture", 2) == "2处骨折"
    assert counted_in_chinese("polyp", 0) == "0枚息肉"


@pytest.mark.parametrize(
    ("fields", "noun"),
    [
        ({"modality": "CR", "anatomy": "CHEST", "view": "PA"}, "胸部后前位X线片"),
        ({"modality": "CT", "anatomy": "abdomen", "form": Form.VOLUME}, "腹部CT扫描"),
        ({"modality": "MR", "anatomy": "head", "view": "axial"}, "头部轴位磁共振图像"),
        ({"modality": "US", "anatomy": "breast", "laterality": "left"}, "左侧乳腺超声图像"),
        ({"modality": "US", "anatomy": "lung", "form": Form.VIDEO}, "肺部超声视频"),
        ({"modality": "light microscopy", "anatomy": "peripheral blood"}, "外周血光学显微镜图像"),
        ({}, "图像"),
    ],
)
def test_images_are_called_as_reports_call_them(fields: dict[str, Any], noun: str) -> None:
    assert noun_in_chinese(s.asset("named", **fields)) == noun


def test_a_language_that_no_wording_speaks_is_refused() -> None:
    for languages in (["de"], [], ["zh", "zh"]):
        with pytest.raises(RecipeError, match="languages"):
            make_task("count", {"languages": languages}, s.VOCABULARY)


def test_a_task_that_speaks_english_alone_does_not_take_the_option() -> None:
    with pytest.raises(RecipeError, match="languages"):
        make_task("source_qa", {"languages": ["zh"]}, s.VOCABULARY)


def _visit(name: str, day: int, **states: str) -> Subject:
    seen = s.chest(name, World.OPEN, sides=False, **states)
    asset: Asset = msgspec.structs.replace(seen.asset, subject="p", day_offset=day)
    said: tuple[Annotation, ...] = seen.annotations
    return Subject(asset, said)


def test_changes_between_visits_are_told_in_chinese_and_verified() -> None:
    visits = [
        _visit("first", 0, Pneumothorax="present", Cardiomegaly="present", Edema="absent", Pneumonia="absent"),
        _visit("second", 9, Pneumothorax="absent", Cardiomegaly="present", Edema="present", Pneumonia="absent"),
    ]
    task: Any = make_task("temporal", {"languages": ["zh"], "unchanged": 5}, s.VOCABULARY, variants=12)
    drafts = [one for one in task.draft(visits) if isinstance(one, Draft)]
    said = tuple(annotation for visit in visits for annotation in visit.annotations)
    assert {json.loads(draft.constraints)["concept"] for draft in drafts} == {
        "Pneumothorax", "Cardiomegaly", "Edema", "Pneumonia",
    }  # fmt: skip
    for draft in drafts:
        assets = tuple(visit.asset for visit in visits)
        refusal = Verifier(s.VOCABULARY).verify(draft, assets, said).refusal
        assert refusal is None, (draft.messages, refusal)
        turned = draft.messages[1].content.replace("未见", "可见", 1)
        if turned != draft.messages[1].content and "均" not in turned:
            lie = msgspec.structs.replace(draft, messages=[draft.messages[0], Message("assistant", turned)])
            assert Verifier(s.VOCABULARY).verify(lie, assets, said).refusal is not None, turned
