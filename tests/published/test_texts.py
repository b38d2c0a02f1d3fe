"""What answers claim and how they are written, in English and Chinese, on datasets that nobody has published."""

from collections.abc import Callable
from typing import Any

import pytest

from curate.published import Report
from tests.published.conftest import Check
from tests.published.rows import asked, preferred


@pytest.mark.parametrize(
    ("path", "answer", "broken"),
    [
        ("thyroid/benign/17.png", "The nodule is suspicious for malignancy.", True),
        ("thyroid/benign/17.png", "The nodule is not malignant.", False),
        ("thyroid/benign/17.png", "A spongiform nodule without suspicious features.", False),
        ("thyroid/benign/17.png", "Probably benign; malignancy cannot be ruled out.", False),
        ("thyroid/malignant/3.png", "Findings are consistent with a benign nodule.", True),
        ("thyroid/malignant/3.png", "A hypoechoic nodule with microcalcifications.", False),
        ("thyroid/malignant/3.png", "No benign features; papillary carcinoma is likely.", False),
        ("fundus/normal/8.png", "There is a pigmented lesion in the macula.", True),
        ("fundus/normal/8.png", "No mass, nodule or lesion is seen.", False),
        ("fundus/normal/8.png", "The optic disc and vessels are unremarkable.", False),
        ("fundus/abnormal/8.png", "The fundus appears normal.", True),
        ("fundus/abnormal/8.png", "Scattered hemorrhages are seen; the disc is normal.", False),
        ("fundus/normal/8.png", "Pneumothorax is absent and a mass is not seen.", False),
        ("fundus/normal/8.png", "A mass is not seen; a nodule is.", True),
        ("chest/pneumonia/8.png", "The heart is normal. Patchy shadowing of the lower zone.", False),
        ("chest/pneumonia/8.png", "No bony abnormality.", False),
        ("chest/pneumonia/8.png", "No acute abnormality. The lungs are normal.", True),
        ("breast/malignant/8.png", "低回声包块，周围组织结构未见明显异常。", False),
        ("chest/肺炎/8.png", "胸部影像表现正常，未见异常。", True),
        ("scans/normalized/8.png", "There is a lesion in the macula.", False),
        ("thyroid/benign_12.png", "左叶结节，考虑恶性可能。", True),
        ("thyroid/benign_12.png", "左叶结节，考虑良性，恶性待排。", False),
        ("thyroid/恶性/12.png", "结节边界清晰，提示良性病变。", True),
        ("thyroid/恶性/12.png", "结节边界不清，考虑恶性。", False),
        ("breast/正常/12.png", "右乳可见低回声结节。", True),
        ("breast/正常/12.png", "乳腺实质回声均匀，未见明显结节。", False),
    ],
)
def test_a_class_in_a_name_is_not_contradicted(counts: Check, path: str, answer: str, broken: bool) -> None:
    assert bool(counts([asked("Describe.", answer, path)])["class_contradiction"]) == broken


def test_a_path_and_a_label_that_disagree(counts: Check) -> None:
    row = asked("Describe.", "An oval mass.", "ultrasound/benign/1.png", label="malignant")
    assert counts([row])["class_contradiction"] == 1
    assert counts([{**row, "label": "benign"}])["class_contradiction"] == 0


def test_a_word_that_all_paths_share_may_name_the_dataset(report: Callable[..., Report]) -> None:
    alone = asked("Describe.", "A benign mass.", "cancer/1.png")
    (found,) = [one for one in report([alone]).findings if one.rule == "class_contradiction"]
    assert found.severity == "warning"
    both = [alone, asked("Describe.", "A smooth contour.", "benign/2.png")]
    (found,) = [one for one in report(both).findings if one.rule == "class_contradiction"]
    assert (found.severity, found.count, found.of) == ("error", 1, 1)


@pytest.mark.parametrize(
    ("row", "broken"),
    [
        (asked("Describe.", "A mass in the left breast."), True),
        (asked("Describe.", "A left-sided effusion."), True),
        (asked("Describe.", "右侧附件区囊性包块。"), True),
        (asked("Describe.", "Consolidation of the right lower lobe."), True),
        (asked("Describe.", "Bilateral ground-glass opacities."), True),
        (asked("Describe.", "双侧胸腔积液。"), True),
        (asked("Describe.", "The right ventricle is dilated."), False),
        (asked("Describe.", "Nothing is left of the tumour."), False),
        (asked("Describe.", "A mass in the left breast.", laterality="L"), False),
        (asked("Describe.", "A mass in the left breast.", "LCC_001.png"), False),
        (asked("Describe.", "A mass in the left breast.", "p7_L.png"), False),
        (asked("Describe.", "A mass in the left breast.", "r17.png"), True),
        (asked("Describe the left breast.", "A mass in the left breast."), False),
        (asked("描述左乳。", "左乳见结节。"), False),
    ],
)
def test_a_side_comes_from_somewhere(counts: Check, row: dict[str, Any], broken: bool) -> None:
    assert bool(counts([row])["unsupported_side"]) == broken


@pytest.mark.parametrize(
    ("question", "answer", "media", "broken"),
    [
        ("Describe this ultrasound image.", "Increased blood flow is seen within the nodule.", {}, True),
        ("Describe this ultrasound image.", "Marked vascularity on Doppler.", {}, True),
        ("描述这张超声图像。", "结节内可见丰富血流信号。", {}, True),
        ("描述这张超声图像。", "结节内阻力指数增高。", {}, True),
        ("描述这张彩色多普勒图像。", "结节内可见丰富血流信号。", {}, False),
        ("Describe this Doppler ultrasound image.", "Increased blood flow is seen.", {}, False),
        ("Describe this MR angiogram.", "Blood flow is reduced in the middle cerebral artery.", {}, False),
        ("Describe this ultrasound image.", "A hypoechoic nodule.", {}, False),
        ("<video>Describe this ultrasound loop.", "Blood flow is seen.", {"video": "a.mp4"}, False),
    ],
)
def test_a_still_shows_no_flow(counts: Check, question: str, answer: str, media: dict[str, str], broken: bool) -> None:
    assert bool(counts([asked(question, answer, **media)])["flow_on_still"]) == broken


def test_a_row_of_ultrasound_among_others(counts: Check) -> None:
    others = [
        asked("Describe this CT slice.", f"Blood flow is not assessed in slice {n}.", f"{n}.png") for n in range(9)
    ]
    still = asked("Describe this ultrasound image.", "Blood flow is increased.", "u.png")
    assert counts([*others, still])["flow_on_still"] == 1


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        ("A nodule of 12 mm.", "unsupported_size"),
        ("A mass of 3.5 x 2 cm.", "unsupported_size"),
        ("大小约12毫米的结节。", "unsupported_size"),
        ("About two thirds of the lung.", None),
        ("A 12-millimetre stone.", "unsupported_size"),
        ("Unchanged since the prior study.", "unsupported_prior"),
        ("Compared with the previous radiograph the effusion is smaller.", "unsupported_prior"),
        ("与前片比较，积液减少。", "unsupported_prior"),
        ("病灶较前缩小。", "unsupported_prior"),
        ("There is no prior study for comparison.", None),
        ("The left ventricle is larger compared with the right.", None),
        ("A 64-year-old patient with a fracture.", "person"),
        ("Pelvis of a female patient.", "person"),
        ("患者，男，65岁，右肺结节。", "person"),
        ("A fracture of several years' standing.", None),
    ],
)
def test_sizes_earlier_images_and_persons(counts: Check, answer: str, rule: str | None) -> None:
    found = counts([asked("Describe.", answer)])
    claims = {one for one in ("unsupported_size", "unsupported_prior", "person") if found[one]}
    assert claims == ({rule} if rule else set())


def test_fields_and_questions_support_claims(counts: Check) -> None:
    assert not counts([asked("Describe.", "A nodule of 12 mm.", pixel_spacing=[0.1, 0.1])])["unsupported_size"]
    assert not counts([asked("Is the nodule larger than 10 mm?", "Yes, it measures 12 mm.")])["unsupported_size"]
    assert not counts([asked("Describe.", "A 64-year-old patient.", age=64)])["person"]
    two = {"images": ["a.png", "b.png"], "messages": [
        {"role": "user", "content": "<image><image>What has changed?"},
        {"role": "assistant", "content": "Compared with the prior image the effusion is smaller."}]}  # fmt: skip
    assert not counts([two])["unsupported_prior"]


@pytest.mark.parametrize(
    ("answer", "broken"),
    [
        ("As an AI language model, I cannot diagnose.", True),
        ("I'm sorry, but I can't view images.", True),
        ("作为一个人工智能助手，我无法诊断。", True),
        ("The description does not mention the heart.", True),
        ("According to the provided caption, the lesion is cystic.", True),
        ("根据提供的描述，病变为囊性。", True),
        ("### Response: a fracture", True),
        ("Sure, here is the description: a fracture.", True),
        ("A fracture of the distal radius.", False),
        ("The report does not alter the stage.", False),
        ("桡骨远端骨折。", False),
    ],
)
def test_an_answer_does_not_speak_of_its_task(counts: Check, answer: str, broken: bool) -> None:
    assert bool(counts([asked("Describe.", answer)])["meta_text"]) == broken


def test_a_rejected_answer_does_not_say_that_it_is_false(counts: Check) -> None:
    assert (
        counts([preferred("Is there a mass?", "Yes.", "No, which contradicts the original finding.")])["meta_text"] == 1
    )
    assert counts([preferred("有肿块吗？", "有。", "没有，这是错误的描述。")])["meta_text"] == 1
    assert counts([preferred("Is there a mass?", "Yes.", "No mass is present.")])["meta_text"] == 0
    assert counts([asked("What does this show?", "The stent lies on the opposite wall.")])["meta_text"] == 0


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("There is [condition/abnormality] in the lung.", "placeholder"),
        ("The patient shows {finding} today.", "placeholder"),
        ("Dear [Patient Name], your scan is clear.", "placeholder"),
        ("可见【病变名称】。", "placeholder"),
        ("See [the guideline](https://example.org) for grades.", None),
        ("A density [sic] in the apex.", None),
        ("Box: [12, 30, 40, 60].", None),
        ("```python\nprint(f'{name}')\n```", None),
        ("Seen by ___ on rounds.", "deid_token"),
        ("XXXX-year-old with cough.", "deid_token"),
        ("Seen by [**Doctor Last Name **].", "deid_token"),
        ("Axial T2 with IR_TSE_512 protocol.", None),
        ("The angle is 30Â° here.", "mojibake"),
        ("The patientâ€™s aorta.", "mojibake"),
        ("锟斤拷结节", "mojibake"),
        ("Café-au-lait spots, 30°, 5 µm, naïve.", None),
        ("Seen on 2019-03-12.", "identifier"),
        ("检查日期：2019年3月12日。", "identifier"),
        ("Call 555-123-4567.", "identifier"),
        ("MRN: 00123456", "identifier"),
        ("住院号：12345678", "identifier"),
        ("Reviewed by Dr. Miller.", "identifier"),
        ("姓名：王小明", "identifier"),
        ("Mail to john.doe@example.org.", "identifier"),
        ("T1 is 1250 ms, T2 is 90 ms, ratio 13/9.", None),
    ],
)
def test_letters_holes_marks_and_identifiers(counts: Check, text: str, rule: str | None) -> None:
    found = counts([asked("Describe.", text)])
    rules = {one for one in ("placeholder", "deid_token", "mojibake", "identifier") if found[one]}
    assert rules == ({rule} if rule else set())


def test_an_answer_that_repeats_its_question(counts: Check) -> None:
    assert counts([asked("Is there a fracture?", "Question: Is there a fracture?\nYes")])["question_in_answer"] == 1
    assert counts([asked("是否存在明显的胸腔积液？", "问题：是否存在明显的胸腔积液？否")])["question_in_answer"] == 1
    assert counts([asked("Is there a fracture?", "There is a fracture.")])["question_in_answer"] == 0


@pytest.mark.parametrize(
    ("question", "answer", "severity"),
    [
        ("Locate the polyp. Return the box as JSON.", '{"bbox_2d": [1, 2, 30, 40]}', None),
        ("Locate the polyp. Return the box as JSON.", '```json\n{"bbox_2d": [1, 2, 30, 40]}\n```', "note"),
        ("Locate the polyp. Return the box as JSON.", "The polyp is at [1, 2, 30, 40].", "error"),
        ("以JSON格式输出息肉位置。", "息肉位于左上。", "error"),
        ("Which file is this, a PNG or a JSON file?", "A PNG.", None),
    ],
)
def test_json_where_json_was_asked_for(
    report: Callable[..., Report], question: str, answer: str, severity: str | None
) -> None:
    found = [one.severity for one in report([asked(question, answer)]).findings if one.rule == "json_asked"]
    assert found == ([severity] if severity else [])


def test_stored_replies_of_a_model(counts: Check) -> None:
    replies = [
        {"reply": "Here are questions:\n1. Is there a [lesion] here?\n2. Where?", "topic": "lesions"},
        {"reply": '["Is there a lesion?", "Where is it?"]', "topic": "lesions"},
    ]
    found = counts(replies)
    assert (found["reply_needs_parser"], found["placeholder"]) == (1, 1)
