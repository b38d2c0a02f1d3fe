"""Sentences of Chinese reports about images of which everything is known: the true ones, and each with false twins."""

from typing import Any

import pytest

from curate.language.packs import SLOT, load_pack
from curate.rows import Subject
from curate.schema import Kind, Reason, State, World
from curate.verify.chinese import closed_answer, traditional, words
from curate.verify.chinese_lexicon import MEASURE, PLAIN, words_of
from curate.verify.chinese_text import value_of
from curate.verify.lexicon import CONCEPT, PLACE, concept_key, place_key, vocabulary_index
from tests.tasks import subjects as s
from tests.verify.by_hand import about, reason_of

CHEST = s.chest(
    "chinese",
    World.OPEN,
    sides=True,
    Pleural__Effusion="present",  # left
    Nodule="absent",
    Pneumonia="uncertain",
    Edema="present",
    Pneumothorax="absent",
)
SMEAR = s.smear("chinese", "eeeel")


def _reason(
    subject: Subject, question: str, answer: str, rests_on: tuple[str, ...] = (), **asked: Any
) -> Reason | None:
    return reason_of(subject, question, answer, asked, rests_on=about(subject, *rests_on), language="zh")


def _caption(answer: str) -> Reason | None:
    return _reason(CHEST, "请描述这张图像。", answer, ask="caption", attributes=[])


def _states(text: str) -> list[tuple[str | None, State]]:
    return [(claim.mention.key(CONCEPT), claim.state) for claim in words(text, ()).claims if claim.mention.key(CONCEPT)]


@pytest.mark.parametrize(
    "sentence",
    [
        "左侧胸腔积液。",
        "图像显示左侧胸腔积液，左侧肺炎不能排除。",
        "可见左侧胸水，未见结节及气胸。",
        "胸片可见左侧胸腔积液。",
        "未见结节影，未见气胸。",
        "未见明显结节、气胸。",
        "气胸和结节均未见。",
        "结节：未见。",
        "肺炎可能。",
        "考虑肺炎。",
        "疑似肺炎，未见气胸。",
        "肺炎不能完全排除。",
        "不除外肺炎。",
        "并非没有左侧胸腔积液。",
        "未见可疑结节。",
        "无结节，但有左侧胸腔积液。",
        "影像学表现为左侧胸腔积液。",
        "该胸片显示左侧胸腔积液（pleural effusion）。",
    ],
)
def test_true_sentences_pass(sentence: str) -> None:
    assert _caption(sentence) is None


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("右侧胸腔积液。", Reason.LATERALITY),
        ("双侧胸腔积液。", Reason.LATERALITY),
        ("两侧胸水。", Reason.LATERALITY),
        ("未见胸腔积液。", Reason.NEGATION),
        ("无左侧胸腔积液。", Reason.NEGATION),
        ("胸腔积液未见。", Reason.NEGATION),
        ("可见结节。", Reason.NEGATION),
        ("未见气胸，可见结节。", Reason.NEGATION),
        ("并非没有结节。", Reason.NEGATION),
        ("左侧胸腔积气。", Reason.NEGATION),
        ("左侧胸腔积液，未见实变。", Reason.LABEL_INVENTED),
        ("左侧胸腔积液，伴骨折。", Reason.LABEL_INVENTED),
        ("左侧胸腔积液伴肺隔离症。", Reason.LABEL_INVENTED),
        ("左侧胸腔积液，最大深度约12毫米。", Reason.NUMBER),
        ("CT图像显示左侧胸腔积液。", Reason.LABEL_INVENTED),
        ("侧位胸片显示左侧胸腔积液。", Reason.LABEL_INVENTED),
    ],
)
def test_false_twins_are_refused_for_the_right_reason(sentence: str, reason: Reason) -> None:
    assert _caption(sentence) is reason


@pytest.mark.parametrize(
    "sentence",
    [
        "左侧可能有胸腔积液。",
        "左侧胸腔积液待排。",
        "左侧胸腔积液不能排除。",
        "肺炎。",
        "可见肺炎。",
        "排除肺炎。",
        "未见肺炎。",
        "左侧大量胸腔积液。",
        "左侧中量胸腔积液。",
        "较前片，左侧胸腔积液增多。",
        "左侧胸腔积液较前吸收。",
        "患者男，56岁，左侧胸腔积液。",
        "王建国先生，左侧胸腔积液。",
        "住院号1234567，左侧胸腔积液。",
        "2021年3月5日检查，左侧胸腔积液。",
        "作为一个AI，我看到左侧胸腔积液。",
        "根据标注，存在左侧胸腔积液。",
        "左侧胸腔积液，建议复查。",
        "左侧胸腔积液，由肿瘤引起。",
        "未见气胸，胸腔积液。",
        "左側胸腔積液。",
        "There is a left pleural effusion.",
        "左侧胸腔积液。There is no nodule seen in this image today.",
        "左侧重度胸腔积液。",
        "左肺上叶可见胸腔积液。",
    ],
)
def test_what_no_annotation_gives_is_refused(sentence: str) -> None:
    assert _caption(sentence) is not None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("图中有4个红细胞。", None),
        ("图中共有四个红细胞。", None),
        ("红细胞共4个。", None),
        ("４个。", None),
        ("图中有5个红细胞。", Reason.NUMBER),
        ("图中有五个红细胞。", Reason.NUMBER),
        ("图中有十四个红细胞。", Reason.NUMBER),
        ("图中有一个红细胞。", Reason.NUMBER),
        ("未见红细胞。", Reason.NEGATION),
        ("图中有4个白细胞。", Reason.LABEL_INVENTED),
        ("图中有许多红细胞。", Reason.LABEL_INVENTED),
        ("图中有红细胞。", Reason.COUNT),
        ("图中至少有4个红细胞。", Reason.NUMBER),
    ],
)
def test_counts(answer: str, reason: Reason | None) -> None:
    asked = {"ask": "count", "concept": "erythrocyte", "label_set": "cells"}
    assert _reason(SMEAR, "图中有多少个红细胞？", answer, **asked) is reason


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ("共5个：红细胞4个、白细胞1个、血小板0个。", True),
        ("总共有5个，其中4个红细胞，1个白细胞，未见血小板。", True),
        ("共5个：红细胞1个、白细胞4个、血小板0个。", False),
        ("共6个：红细胞4个、白细胞1个、血小板0个。", False),
        ("共5个：红细胞4个、白细胞1个、血小板1个。", False),
    ],
)
def test_numbers_count_what_stands_before_or_behind_them(answer: str, passes: bool) -> None:
    asked = {
        "ask": "count_total",
        "label_set": "cells",
        "concepts": list(s.CELLS),
        "rests_on": ("erythrocyte", "leukocyte"),
    }
    assert (_reason(SMEAR, "红细胞、白细胞和血小板一共有多少个？", answer, **asked) is None) is passes


@pytest.mark.parametrize(
    ("question", "answer", "concept", "passes"),
    [
        ("图中是否存在胸腔积液？", "是的，图中可见左侧胸腔积液。", "Pleural Effusion", True),
        ("有没有胸腔积液？", "有。", "Pleural Effusion", True),
        ("是否有胸腔积液？", "有胸腔积液。", "Pleural Effusion", True),
        ("这张胸片上有结节吗？", "没有，未见结节。", "Nodule", True),
        ("是否存在结节？", "否。", "Nodule", True),
        ("是否存在结节？", "未见结节。", "Nodule", True),
        ("是否存在结节？", "不存在结节。", "Nodule", True),
        ("图中是否存在胸腔积液？", "没有，未见胸腔积液。", "Pleural Effusion", False),
        ("图中是否存在胸腔积液？", "是的，未见胸腔积液。", "Pleural Effusion", False),
        ("图中是否存在胸腔积液？", "没有，可见胸腔积液。", "Pleural Effusion", False),
        ("是否存在结节？", "是的。", "Nodule", False),
        ("是否存在结节？", "是的，可见结节。", "Nodule", False),
        ("是否存在结节？", "不，可见结节。", "Nodule", False),
        ("是否存在结节？", "没有，未见气胸。", "Nodule", False),
        ("是不是没有结节？", "没有，未见结节。", "Nodule", True),
        ("是不是没有结节？", "是的，没有结节。", "Nodule", True),
        ("是不是没有结节？", "不是，没有结节。", "Nodule", False),
        ("是不是没有结节？", "不是，可见结节。", "Nodule", False),
        ("是不是没有结节？", "是的，可见结节。", "Nodule", False),
        ("未见结节。有结节吗？", "没有，未见结节。", "Nodule", False),
        ("有结节吗？提示：没有结节。", "没有，未见结节。", "Nodule", False),
        ("有结节吗？（答案：未见结节。）", "没有，未见结节。", "Nodule", False),
        ("这是一张胸片。图中有结节吗？", "没有，图中没有结节。", "Nodule", True),
        ("是否存在结节？", "双肺均未见", "Nodule", False),
        ("能否排除胸腔积液？", "不能排除，左侧明确存在胸腔积液。", "Pleural Effusion", True),
        ("能否排除胸腔积液？", "不能排除，左侧可能有胸腔积液。", "Pleural Effusion", False),
    ],
)
def test_closed_questions(question: str, answer: str, concept: str, passes: bool) -> None:
    asked = {"ask": "presence", "concept": concept, "label_set": "findings"}
    assert (_reason(CHEST, question, answer, **asked) is None) is passes


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("未见气胸、胸腔积液及骨折。", "aaa"),
        ("双肺未见实变，心影增大。", "ap"),
        ("未见气胸但可见胸腔积液。", "ap"),
        ("无气胸并可见胸腔积液。", "ap"),
        ("无气胸而有胸腔积液。", "ap"),
        ("既无气胸也无胸腔积液。", "aa"),
        ("气胸、胸腔积液均未见。", "aa"),
        ("气胸阴性，胸腔积液阳性。", "ap"),
        ("胸腔积液：无。", "a"),
        ("没有发现骨折征象。", "a"),
        ("不是没有胸腔积液。", "p"),
        ("并非不存在胸腔积液。", "p"),
        ("不能排除骨折。", "u"),
        ("骨折尚不能完全排除。", "u"),
        ("无法排除骨折及气胸。", "uu"),
        ("可排除骨折。", "a"),
        ("骨折已排除。", "a"),
        ("除骨折外，未见气胸。", "pa"),
        ("除骨折外均未见。", "p"),
        ("骨折待排，未见气胸。", "ua"),
        ("似有骨折。", "u"),
        ("肺炎可能性大，伴胸腔积液。", "up"),
        ("未见明确骨折。", "a"),
        ("未见可疑骨折或可疑肿块。", "aa"),
        ("无法确定是否存在骨折。", "u"),
        ("未见气胸，骨折。", "an"),
        ("未见气胸，左侧可见骨折。", "ap"),
        ("红细胞3个、血小板0个。", "pa"),
        ("无任何骨折，也没有气胸。", "aa"),
        ("不考虑肺炎，考虑肺不张。", "au"),
        ("请判断是否有骨折。", "p"),
        ("不仅有气胸，还有骨折。", "pp"),
        ("未见结节伴气胸。", "an"),
        ("气胸伴骨折。", "pp"),
    ],
)
def test_what_a_cue_governs(text: str, states: str) -> None:
    letters = {State.PRESENT: "p", State.ABSENT: "a", State.UNCERTAIN: "u", State.NOT_STATED: "n"}
    assert "".join(letters[state] for _, state in _states(text)) == states


@pytest.mark.parametrize(
    ("chinese", "english"),
    [
        ("胸水", "pleural effusion"),
        ("胸腔积液", "pleural effusion"),
        ("气胸", "pneumothorax"),
        ("右肾囊肿", "right kidney cyst"),
        ("甲状腺结节", "thyroid nodule"),
        ("肺结节", "lung nodule"),
        ("血小板", "platelet"),
        ("靶形红细胞", "target cell"),
        ("缺铁性贫血", "iron deficiency anemia"),
        ("基底细胞癌", "basal cell carcinoma"),
        ("息肉", "polyp"),
        ("糖尿病视网膜病变", "diabetic retinopathy"),
        ("RBC", "erythrocyte"),
        ("COVID-19", "COVID-19"),
    ],
)
def test_terms_have_the_keys_of_their_english_names(chinese: str, english: str) -> None:
    assert concept_key(english) in words(f"图中可见{chinese}。", ()).concepts


@pytest.mark.parametrize(
    ("sentence", "concept", "state"),
    [
        ("心脏是否增大？", "cardiomegaly", State.PRESENT),
        ("心影未见明显增大。", "cardiomegaly", State.ABSENT),
        ("脾脏不大。", "splenomegaly", State.ABSENT),
        ("右膝关节内有积液。", "joint effusion", State.PRESENT),
        ("腋窝未见肿大淋巴结。", "axillary lymphadenopathy", State.ABSENT),
        ("脑室内未见出血。", "intraventricular hemorrhage", State.ABSENT),
        ("皮肤可能增厚。", "skin thickening", State.UNCERTAIN),
    ],
)
def test_a_term_is_found_where_its_parts_stand_apart(sentence: str, concept: str, state: State) -> None:
    claims = words(sentence, (vocabulary_index(frozenset({concept})),)).claims
    assert [(c.mention.key(CONCEPT), c.state) for c in claims if c.mention.key(CONCEPT)] == [
        (concept_key(concept), state)
    ]


def test_english_words_of_the_own_terms_are_known_but_never_cues() -> None:
    index = vocabulary_index(frozenset({"Gleason pattern", "no tumor", "Pleural Effusion"}))
    assert words("Gleason 4级。", (index,)).strange == ()
    assert words("可见 no 胸腔积液。", (index,)).strange == ("no",)


def test_a_term_that_says_more_than_is_known_is_read_in_its_parts() -> None:
    part = words("未见肺结节。", (vocabulary_index(frozenset({"Nodule"})),))
    assert [m.key(PLACE) or m.key(CONCEPT) for m in part.mentions] == [place_key("lung"), concept_key("nodule")]
    assert part.claims[-1].state is State.ABSENT
    whole = words("未见肺结节。", (vocabulary_index(frozenset({"lung nodule"})),))
    assert [m.key(CONCEPT) for m in whole.mentions] == [concept_key("lung nodule")]


def test_concepts_that_a_card_names_in_chinese_are_read_too() -> None:
    index = vocabulary_index(frozenset({"海绵窦絮凝征"}))
    assert words("可见海绵窦絮凝征。", (index,)).concepts == {"海绵窦絮凝征"}
    assert words("可见海绵窦絮凝征。", ()).strange


def test_a_concept_that_a_card_names_in_english_is_composed_of_chinese_words() -> None:
    shown = s.chest("organs")
    asset = shown.asset
    organs = ("right upper lung lobe", "T9 vertebra", "left kidney")
    said = tuple(s.says(asset, Kind.MASK, organ, "organs", n) for n, organ in enumerate(organs))
    subject = Subject(asset, said)
    asked = {"ask": "caption", "attributes": []}
    assert _reason(subject, "请描述这张图像。", "可见右肺上叶、第9胸椎和左肾。", **asked) is None
    assert _reason(subject, "请描述这张图像。", "可见右肺上叶、第九胸椎和左肾。", **asked) is None
    assert _reason(subject, "请描述这张图像。", "可见右肺下叶、第9胸椎和左肾。", **asked) is not None
    assert _reason(subject, "请描述这张图像。", "可见右肺上叶、第8胸椎和左肾。", **asked) is not None
    assert _reason(subject, "请描述这张图像。", "可见右肺上叶、第9胸椎和右肾。", **asked) is not None


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("结节直径约12毫米。", 12, "mm"),
        ("结节直径约1.2厘米。", 1.2, "cm"),
        ("大小约3×4cm的结节。", 3, "cm"),
        ("CT值约为－50亨氏单位。", -50, "hu"),
        ("占百分之三十。", 30, "percent"),
        ("直径二十三毫米。", 23, "mm"),
        ("体积为５毫升。", 5, "ml"),
        ("12 mm的结节。", 12, "mm"),
    ],
)
def test_quantities_have_the_units_of_english(text: str, value: float, unit: str) -> None:
    quantities = words(text, ()).quantities
    assert quantities
    assert (quantities[0].value, quantities[0].unit) == (value, unit)


@pytest.mark.parametrize(
    ("numeral", "value"),
    [("三", 3), ("两", 2), ("十", 10), ("十二", 12), ("二十", 20), ("二十三", 23), ("一百零五", 105), ("三百六十", 360),
     ("一千二百", 1200), ("两万", 20000), ("三五", None), ("百", None), ("零", 0)],
)  # fmt: skip
def test_numerals(numeral: str, value: int | None) -> None:
    assert value_of(numeral) == value


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("左侧胸腔积液", ["left"]),
        ("右肺实变", ["right"]),
        ("双侧胸腔积液", ["bilateral"]),
        ("两肺实变", ["bilateral"]),
        ("双肾囊肿", ["bilateral"]),
        ("两个结节", []),
        ("对侧胸腔积液", ["contralateral"]),
        ("单侧胸腔积液", ["unilateral"]),
        ("直径12毫米左右", []),
    ],
)
def test_sides(text: str, sides: list[str]) -> None:
    assert [side for _, side in words(text, ()).sides] == sides


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("是的，可见积液。", (True, 3)),
        ("有。", (True, 2)),
        ("没有，未见。", (False, 3)),
        ("未见结节。", (False, 0)),
        ("存在结节。", (True, 0)),
        ("不能排除结节。", (None, 0)),
        ("可能有结节。", (None, 0)),
        ("并非没有结节。", (None, 0)),
        ("结节。", (None, 0)),
    ],
)
def test_how_closed_answers_begin(text: str, opening: tuple[bool | None, int]) -> None:
    assert closed_answer(text) == opening


def test_traditional_characters_are_told_from_simplified_ones() -> None:
    assert traditional("左側胸腔積液")
    assert not traditional("左侧胸腔积液，血小板（platelet）3个")


def test_the_lexicons_are_written_in_simplified_characters() -> None:
    assert [word for word in words_of() if traditional(word)] == []


def test_no_plain_word_hides_a_number() -> None:
    counting = [
        word
        for word, entry in words_of().items()
        if PLAIN in entry.roles and len(word) > 1 and word[0] in "两三四五六七八九十百千" and entry.roles == {PLAIN}
    ]
    assert {word for word in counting if words_of().get(word[-1]) and MEASURE in words_of()[word[-1]].roles} == {
        "两张", "两幅", "两张图片",
    }  # fmt: skip


def test_an_unknown_word_stays_visible_as_a_whole() -> None:
    part = words("图中可见肺磁化症。", ())
    assert part.strange
    assert not words("请仔细观察这张图像，图中是否存在气胸？", ()).strange


@pytest.mark.parametrize("style", ["clinical", "plain"])
def test_what_the_prompt_packs_show_as_good_is_readable(style: str) -> None:
    pack = load_pack(style, "zh", ".")
    for shot in pack.shots:
        for text in shot.says.values():
            part = words(SLOT.sub("", text), ())
            assert not part.strange, text
            assert not part.cued("meta"), text


def test_places_have_the_keys_of_their_english_names() -> None:
    (mention,) = words("位于肝脏", ()).mentions
    assert mention.key(PLACE) == place_key("liver")
