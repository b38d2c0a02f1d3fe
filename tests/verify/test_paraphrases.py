"""Findings in other words than their names: what an organ is, what is sound, what is on one side alone."""

from typing import Any

import pytest

from curate.rows import Subject
from curate.schema import Kind, Reason, State, World
from curate.verify.roots import root, stand_alone
from curate.vocabulary import LabelNames
from tests.tasks import subjects as s
from tests.verify.by_hand import about, reason_of

FINDINGS: dict[str, Any] = {"ask": "findings", "all": True}


def _shown(
    name: str,
    attributes: dict[str, Any],
    states: list[tuple[str, str, str | None]],
    *,
    kind: Kind = Kind.MULTILABEL,
    world: World = World.OPEN,
    measured: tuple[tuple[str, str, float, str], ...] = (),
) -> Subject:
    """An image with what its source says: concept, state and side; concept, label, value and unit."""
    asset = s.asset(name, labelled_by=["f"], **attributes)
    said = [
        s.says(asset, kind, concept, "f", n, state=State(state), world=world, side=side)
        for n, (concept, state, side) in enumerate(states)
    ]
    said += [
        s.says(asset, Kind.MEASUREMENT, concept, "m", 100 + n, label=label, value=value, unit=unit)
        for n, (concept, label, value, unit) in enumerate(measured)
    ]
    return Subject(asset, tuple(said))


def _reason(subject: Subject, question: str, answer: str, *, also: tuple[str, ...] = (), **asked: Any) -> Reason | None:
    concept = asked.get("concept")
    labels = [a for a in subject.annotations if a.label_set == "f"]
    names = {str(a.concept) for a in labels} | set(also)
    vocabulary = {"f": LabelNames(tuple(sorted(names)), world=labels[0].world if labels else World.OPEN)}
    rests_on = subject.annotations if concept is None else about(subject, concept)
    return reason_of(subject, question, answer, {"label_set": "f"} | asked, rests_on=rests_on, vocabulary=vocabulary)


@pytest.mark.parametrize(
    "words",
    [
        "thickened thickening", "stenosis stenotic stenosed", "dilated dilatation", "distorted distortion",
        "herniated herniation", "calcified calcification", "suspicious suspicion", "malignant malignancy",
        "invasive invasion", "hypoechoic hypoechogenicity", "parasitized parasites", "hydronephrotic hydronephrosis",
        "irregular irregularity", "torn tear", "fractured fracture broken", "inflamed inflammation",
        "haemorrhagic hemorrhage",
    ],
)  # fmt: skip
def test_words_of_one_family_have_one_root(words: str) -> None:
    assert len({root(word) for word in words.split()}) == 1


@pytest.mark.parametrize("pair", ["massive mass", "uninfected infected", "fibroma fibrosis"])
def test_words_that_only_look_alike_have_roots_of_their_own(pair: str) -> None:
    one, other = pair.split()
    assert root(one) != root(other) or one in stand_alone()


KNEE = _shown(
    "knee",
    {"modality": "MR", "anatomy": "knee"},
    [
        ("meniscal tear", "present", None),
        ("anterior cruciate ligament tear", "absent", None),
        ("joint effusion", "absent", None),
    ],
)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("The meniscus is torn; the anterior cruciate ligament is intact, and the joint contains no effusion.", None),
        ("A torn meniscus, without a tear of the ACL and without joint effusion.", None),
        ("The meniscus is intact, the ACL is not torn, and there is no joint effusion.", Reason.NEGATION),
        ("The menisci are not torn. The ACL is torn, and there is no joint effusion.", Reason.NEGATION),
    ],
)
def test_what_an_organ_is_names_its_finding(answer: str, reason: Reason | None) -> None:
    assert _reason(KNEE, "What does the MRI show?", answer, **FINDINGS) is reason


CHEST = _shown(
    "chest",
    {"modality": "DX", "anatomy": "chest", "view": "PA"},
    [
        ("cardiomegaly", "absent", None),
        ("pleural effusion", "present", "left"),
        ("pleural effusion", "absent", "right"),
    ],
)


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("Is the heart enlarged?", "No, the heart is of normal size.", None),
        ("Is the heart of normal size?", "Yes.", None),
        ("Is the heart of normal size?", "No.", Reason.NEGATION),
        ("Is the heart enlarged?", "Yes, the heart is not of normal size.", Reason.NEGATION),
        ("Is the heart enlarged?", "No, the liver is of normal size.", Reason.LABEL_INVENTED),
    ],
)
def test_an_organ_of_normal_size_is_not_enlarged(question: str, answer: str, reason: Reason | None) -> None:
    assert _reason(CHEST, question, answer, ask="presence", concept="cardiomegaly") is reason


def test_lungs_are_called_clear_only_where_all_that_the_source_can_tell_of_them_is_absent() -> None:
    attributes = {"modality": "DX", "anatomy": "chest"}
    clear = _shown("clear", attributes, [("consolidation", "absent", None), ("lung nodule", "absent", None)])
    partly = _shown("partly", attributes, [("consolidation", "absent", None)])
    opaque = _shown("opaque", attributes, [("consolidation", "present", None), ("lung nodule", "absent", None)])
    said = "The lungs are clear: no consolidation."
    assert _reason(clear, "What do you see?", said, **FINDINGS) is None
    assert _reason(partly, "What do you see?", said, also=("lung nodule",), **FINDINGS) is Reason.LABEL_INVENTED
    assert _reason(opaque, "What do you see?", "The lungs are clear.", **FINDINGS) is not None


@pytest.mark.parametrize(
    ("answer", "true"),
    [
        ("There is an effusion on the left. The right pleural space contains no effusion. Normal heart size.", True),
        ("There is an effusion on the right. The left pleural space contains no effusion. Normal heart size.", False),
        ("There are effusions on both sides. Normal heart size.", False),
    ],
)
def test_a_finding_may_be_on_one_side_and_not_on_the_other(answer: str, true: bool) -> None:
    assert (_reason(CHEST, "Describe the film.", answer, **FINDINGS) is None) is true


@pytest.mark.parametrize(
    ("world", "answer", "reason"),
    [
        (World.COMPLETE, "There is a nodule. No other finding is present.", None),
        (World.OPEN, "There is a nodule. No other finding is present.", Reason.LABEL_INVENTED),
        (World.COMPLETE, "There is a mass. No other finding is present.", Reason.LABEL_MISSING),
    ],
)
def test_all_else_is_denied_only_where_silence_means_absence(world: World, answer: str, reason: Reason | None) -> None:
    film = _shown(
        "film",
        {"modality": "DX", "anatomy": "chest"},
        [("nodule", "present", None), ("hernia", "absent", None)],
        world=world,
    )
    assert _reason(film, "What do you see?", answer, **FINDINGS) is reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("A hernia cannot be excluded; it is indeed present.", None),
        ("A hernia cannot be excluded.", Reason.NEGATION),
    ],
)
def test_what_is_not_excluded_and_then_said_to_be_there_is_there(answer: str, reason: Reason | None) -> None:
    film = _shown("hernia", {"modality": "DX", "anatomy": "chest"}, [("hernia", "present", None)])
    assert _reason(film, "Can a hernia be excluded?", answer, ask="presence", concept="hernia") is reason


HEART = _shown(
    "heart", {"modality": "US", "anatomy": "heart"}, [("pericardial effusion", "absent", None)],
    measured=(("left ventricle", "ejection fraction", 55.0, "%"),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("The ejection fraction is 55%.", None),
        ("The left ventricular ejection fraction is 55 per cent.", None),
        ("The ejection fraction is 65%.", Reason.NUMBER),
        ("The left ventricle is 55 mm wide.", Reason.NUMBER),
    ],
)
def test_a_measure_is_told_by_its_label(answer: str, reason: Reason | None) -> None:
    asked: dict[str, Any] = {"ask": "measure", "concept": "left ventricle", "label_set": "m"}
    assert _reason(HEART, "What is the ejection fraction?", answer, **asked) is reason


@pytest.mark.parametrize("cut", ["A calc", "A calcificat", "A calcification of the"])
def test_a_word_that_is_cut_off_names_nothing(cut: str) -> None:
    breast = _shown("breast", {"modality": "MG", "anatomy": "breast"}, [("calcification", "present", None)])
    assert _reason(breast, "Is there a calcification?", "Yes. " + cut, ask="presence", concept="calcification")


@pytest.mark.parametrize("adjective", ["An enlarged", "A massive", "A thickened"])
def test_the_form_of_an_organ_is_no_word_for_another_finding(adjective: str) -> None:
    organ = _shown(
        "colon",
        {"modality": "ES", "anatomy": "colon"},
        [("polyp", "present", None), ("wall thickening", "absent", None)],
    )  # fmt: skip
    assert _reason(organ, "Which finding is shown?", f"{adjective} polyp.", ask="findings", all=False) is not None
