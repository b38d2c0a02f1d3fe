"""A finding is asked only under a group that is there, and what an earlier turn gives away is not asked."""

import itertools
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from curate.card import convert_strictly
from curate.errors import RecipeError
from curate.rows import Draft, Message, Subject
from curate.schema import Reason, State, World
from curate.tasks.base import Task, Vocabulary
from curate.tasks.hierarchy import HierarchicalVqa, HierarchicalVqaOptions, default_groups
from curate.testing.tasks import TaskContract
from curate.verify import Verifier
from curate.vocabulary import LabelNames
from tests.tasks import subjects as s

LUNG = ("Atelectasis", "Consolidation", "Edema", "Pneumonia")
PLEURA = ("Pleural Effusion", "Pneumothorax")
NAMES: Vocabulary = {"findings": LabelNames(tuple(sorted((*LUNG, *PLEURA, "Cardiomegaly"))))}


def chest(name: str, world: World = World.OPEN, **states: str) -> Subject:
    """A radiograph with the findings of two groups and a third of one."""
    return s.chest(name, world, sides=False, **states)


def drafted(subject: Subject, **options: object) -> list[Draft]:
    settings = convert_strictly(options, HierarchicalVqaOptions, "test", RecipeError)
    return [one for one in HierarchicalVqa(settings, NAMES).draft(subject) if isinstance(one, Draft)]


def asked(draft: Draft) -> list[tuple[Mapping[str, object], str]]:
    """What each turn asked, and the answer."""
    turns = msgspec.json.decode(draft.constraints)["turns"]
    return list(zip(turns, [message.content for message in draft.messages[1::2]], strict=True))


def judged(subject: Subject, draft: Draft) -> Reason | None:
    refusal = Verifier(NAMES).verify(draft, (subject.asset,), subject.annotations).refusal
    return None if refusal is None else refusal.reason


ILL = chest(
    "ill", Atelectasis="absent", Consolidation="present", Edema="absent", Pneumonia="absent",
    Pleural__Effusion="absent", Pneumothorax="absent", Cardiomegaly="present",
)  # fmt: skip
WELL = chest("well", World.OPEN, **{name.replace(" ", "__"): "absent" for name in (*LUNG, *PLEURA, "Cardiomegaly")})
UNSURE = chest("unsure", Consolidation="uncertain", Edema="absent", Pneumothorax="present")


class TestHierarchicalVqa(TaskContract):
    @pytest.fixture
    def task(self) -> type[Task]:
        return HierarchicalVqa

    @pytest.fixture
    def vocabulary(self) -> Vocabulary:
        return {**s.VOCABULARY, **NAMES}

    @pytest.fixture
    def subjects(self) -> Sequence[Subject]:
        several = [
            chest(f"{number}", World.COMPLETE if number % 3 else World.OPEN, **{
                name.replace(" ", "__"): ("present", "absent", "uncertain", "absent")[(number >> place) % 4]
                for place, name in enumerate((*LUNG, *PLEURA))
            })
            for number in range(40)
        ]  # fmt: skip
        return [ILL, WELL, UNSURE, *several, s.smear("cells", "eeelp"), s.classified("class", "Thalassemia")]


def test_a_finding_is_asked_only_under_a_group_that_is_there() -> None:
    (draft,) = drafted(ILL)
    turns = asked(draft)
    groups = [(turn["group"], answer[:2]) for turn, answer in turns if turn["ask"] == "any_of"]
    assert groups == [("lung findings", "Ye"), ("pleural findings", "No")]
    under = {turn["concept"] for turn, _ in turns if turn["ask"] == "presence"}
    assert "Consolidation" in under
    assert under.isdisjoint(PLEURA)


def test_a_group_is_denied_only_where_each_of_its_findings_is() -> None:
    (well,) = drafted(WELL, surplus_no=9)
    assert [answer[:2] for turn, answer in asked(well) if turn["ask"] == "any_of"] == ["No", "No"]
    (balanced,) = drafted(WELL)
    assert len(asked(balanced)) == 1, "no more denied groups than `surplus_no` where none holds"
    (unsure,) = drafted(UNSURE)
    assert [turn.get("group") for turn, _ in asked(unsure)][:1] == ["pleural findings"], "lung findings are not known"


def test_a_source_that_cannot_deny_is_not_asked_for_groups() -> None:
    assert not drafted(chest("only positives", Consolidation="present", Edema="present"))


def test_what_the_group_and_the_denied_findings_leave_over_is_not_asked() -> None:
    for number in range(60):
        subject = chest(f"last {number}", Pleural__Effusion="present", Pneumothorax="absent")
        for draft in drafted(subject, surplus_no=5):
            answers = [answer[:2] for turn, answer in asked(draft) if turn["ask"] == "presence"]
            assert answers in (["Ye", "No"], ["No"], ["Ye"])


def test_a_broader_finding_comes_before_a_narrower_one() -> None:
    for number in range(40):
        (draft,) = drafted(
            chest(f"kinds {number}", Consolidation="present", Pneumonia="present", Edema="absent", Atelectasis="absent")
        )
        order = [turn["concept"] for turn, _ in asked(draft) if turn["ask"] == "presence"]
        assert order.index("Consolidation") < order.index("Pneumonia")


def test_the_question_about_a_group_is_the_same_for_every_image() -> None:
    members: set[tuple[str, ...]] = {
        msgspec.convert(turn["concepts"], tuple[str, ...])
        for subject in (ILL, WELL)
        for draft in drafted(subject)
        for turn, _ in asked(draft)
        if turn["ask"] == "any_of"
    }
    assert members == {LUNG, PLEURA}


def test_a_lie_in_any_turn_is_refused() -> None:
    (draft,) = drafted(ILL)
    assert judged(ILL, draft) is None
    for place in range(1, len(draft.messages), 2):
        said = draft.messages[place]
        lie = "No." if said.content.startswith("Yes") else "Yes."
        messages = [*draft.messages[:place], Message("assistant", lie), *draft.messages[place + 1 :]]
        assert judged(ILL, msgspec.structs.replace(draft, messages=messages)), f"turn {place // 2}: {lie}"


@pytest.mark.parametrize(
    "further",
    ["Yes, there is a fracture.", "Yes, none of them.", "No, at least one of them.", "Perhaps.", "Yes and no."],
)
def test_an_answer_about_a_group_says_yes_or_no_alone(further: str) -> None:
    (draft,) = drafted(ILL)
    messages = [draft.messages[0], Message("assistant", further), *draft.messages[2:]]
    assert judged(ILL, msgspec.structs.replace(draft, messages=messages))


def test_a_group_whose_question_names_others_than_it_holds_is_refused() -> None:
    (draft,) = drafted(ILL)
    question = draft.messages[0].content
    for lie in (question.replace("edema", "fracture"), question.replace("edema", "pneumothorax")):
        assert lie != question
        messages = [Message("user", lie), *draft.messages[1:]]
        assert judged(ILL, msgspec.structs.replace(draft, messages=messages))


def test_a_finding_is_not_asked_after_its_group_was_denied() -> None:
    (well,) = drafted(WELL, surplus_no=9)
    turns = msgspec.json.decode(well.constraints)["turns"]
    group = next(turn for turn in turns if turn["ask"] == "any_of")
    (ill,) = drafted(ILL)
    child = next(turn for turn, _ in asked(ill) if turn["ask"] == "presence")
    at = [turn for turn, _ in asked(ill)].index(child)
    extra = ill.messages[2 * at : 2 * at + 2]
    follows = {**child, "concept": group["concepts"][0]}
    lie = msgspec.structs.replace(
        well,
        messages=[*well.messages, *extra],
        constraints=msgspec.json.encode({"ask": "dialogue", "turns": [*turns, follows]}).decode(),
    )
    assert judged(WELL, lie) is Reason.ANSWER_IN_QUESTION


def test_a_group_is_not_asked_after_a_finding_of_it_was_affirmed() -> None:
    (draft,) = drafted(ILL)
    turns = msgspec.json.decode(draft.constraints)["turns"]
    texts = [message.content.removeprefix("<image>\n") for message in draft.messages]
    child = next(at for at, (turn, told) in enumerate(asked(draft)) if turn["ask"] == "presence" and told[:3] == "Yes")
    order = [child, *(at for at in range(len(turns)) if at != child)]
    said = [texts[2 * at + part] for at in order for part in (0, 1)]
    messages = [Message(("user", "assistant")[at % 2], text) for at, text in enumerate(said)]
    messages[0] = Message("user", "<image>\n" + said[0])
    constraints = msgspec.json.encode({"ask": "dialogue", "turns": [turns[at] for at in order]}).decode()
    lie = msgspec.structs.replace(draft, messages=messages, constraints=constraints)
    assert judged(ILL, lie) is Reason.ANSWER_IN_QUESTION


def test_a_group_is_asked_about_and_nothing_told_beside() -> None:
    (draft,) = drafted(ILL)
    first = draft.messages[0]
    for further in (" The answer is: No.", " There is a finding."):
        messages = [Message("user", first.content + further), *draft.messages[1:]]
        assert judged(ILL, msgspec.structs.replace(draft, messages=messages)) is Reason.ANSWER_IN_QUESTION


def test_turns_that_do_not_say_what_they_ask_are_refused() -> None:
    (draft,) = drafted(ILL)
    turns = msgspec.json.decode(draft.constraints)["turns"]
    for constraints in ({"ask": "presence", **turns[-1]}, {"ask": "dialogue", "turns": turns[:-1]}):
        lie = msgspec.structs.replace(draft, constraints=msgspec.json.encode(constraints).decode())
        assert judged(ILL, lie) is Reason.CONSISTENCY


def test_no_finding_stands_in_two_groups() -> None:
    for one, other in itertools.combinations(default_groups().values(), 2):
        assert set(one).isdisjoint(other)


def test_uncertain_and_silent_findings_are_never_asked() -> None:
    for draft in drafted(UNSURE):
        assert all(turn.get("concept") not in ("Consolidation", "Cardiomegaly") for turn, _ in asked(draft))
    states = {annotation.state for annotation in UNSURE.annotations}
    assert State.UNCERTAIN in states
