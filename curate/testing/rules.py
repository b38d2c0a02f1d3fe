"""What every rule keeps: a verdict about any text whatever, the same each time, and never an exception."""

import json
from collections.abc import Callable, Sequence
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.rows import Draft, Message, Subject
from curate.schema import RULES, Origin, Refusal
from curate.verify.base import NOT_APPLICABLE, Rule

__all__ = ["RuleContract", "conversations"]

ASKS: Final = (
    "caption",
    "presence",
    "attribute_is",
    "attribute",
    "class",
    "findings",
    "grade",
    "locate",
    "point",
    "identify",
    "count",
    "count_total",
    "measure",
    "choice",
    "compare",
    "source",
)
"""What the constraints of a draft may ask; see `curate.verify`."""

_PHRASES: Final = st.sampled_from(
    [
        "<image>",
        "no",
        "not",
        "left",
        "right",
        "at least",
        "mm",
        "%",
        "-3.5",
        "1,000",
        "[0.1, 0.2, 0.3, 0.4]",
        "((((",
        "{}",
        "\n",
        "\u200b",
        "１２",
        "erythrocyte",
        "<box>",
        "½",
        "1e999",
    ]
)
_TEXTS: Final = st.one_of(
    st.text(max_size=80), st.lists(st.one_of(_PHRASES, st.text(max_size=8)), max_size=12).map(" ".join)
)
_ASKED: Final = st.fixed_dictionaries(
    {"ask": st.sampled_from(ASKS)},
    optional={
        "concept": st.text(max_size=12),
        "label_set": st.text(max_size=8),
        "all": st.booleans(),
        "attributes": st.lists(st.text(max_size=8), max_size=2),
        "attribute": st.text(max_size=8),
        "concepts": st.lists(st.text(max_size=8), max_size=2),
        "of": st.sampled_from(ASKS),
        "options": st.lists(st.text(max_size=8), max_size=4),
        "letters": st.booleans(),
    },
)
conversations: Final = st.tuples(_TEXTS, _TEXTS, _ASKED)
"""A question, an answer, and what was asked for: what a model may write, and worse."""


class RuleContract:
    """Fixtures: `rule`, made anew by each call; `subjects`, assets with all of their annotations."""

    @pytest.fixture(scope="class")
    def rule(self) -> Callable[[], Rule]:
        """Makes the rule under test."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    def subjects(self) -> Sequence[Subject]:
        """What texts are about."""
        raise NotImplementedError

    def test_it_is_one_of_the_rules_of_the_schema(self, rule: Callable[[], Rule]) -> None:
        assert rule().name in RULES
        assert rule().version >= 1

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(said=conversations, number=st.integers(min_value=0))
    def test_any_text_gets_a_verdict_and_the_same_one_again(
        self,
        rule: Callable[[], Rule],
        subjects: Sequence[Subject],
        said: tuple[str, str, dict[str, object]],
        number: int,
    ) -> None:
        subject = subjects[number % len(subjects)]
        draft = _draft(subject, *said)
        verdicts = [rule().check(draft, (subject.asset,), subject.annotations) for _ in range(2)]
        assert verdicts[0] == verdicts[1], "two checks of one text differ"
        assert verdicts[0] is None or verdicts[0] == NOT_APPLICABLE or isinstance(verdicts[0], Refusal)

    def test_a_refusal_never_holds_the_text(self, rule: Callable[[], Rule], subjects: Sequence[Subject]) -> None:
        """The text may be about a patient; what is wrong with it is told in words of the rule's own."""
        secret = "Zebulon Quarterfoil"  # noqa: S105
        for subject in subjects:
            draft = _draft(subject, secret, f"No {secret} on the left, 17 of them: [9, 9, 1, 1].", {"ask": "source"})
            verdict = rule().check(draft, (subject.asset,), subject.annotations)
            assert not isinstance(verdict, Refusal) or "Zebulon" not in verdict.detail


def _draft(subject: Subject, question: str, answer: str, constraints: dict[str, object]) -> Draft:
    return Draft(
        draft_id="0" * 64,
        source=subject.asset.source,
        asset_ids=[subject.asset.asset_id],
        annotation_ids=[annotation.annotation_id for annotation in subject.annotations],
        task="contract",
        variant=0,
        wording="contract",
        language="en",
        origin=Origin.LLM,
        messages=[Message("user", f"<image>\n{question}"), Message("assistant", answer)],
        constraints=json.dumps(constraints),
    )
