"""Verification: one text against all that its source says of its images. Never a model, never `tasks`.

`constraints` of a draft, written by its task and read here as what was *asked*, never as what is true:

| `ask` | further keys |
|---|---|
| `caption` | `attributes`: which of modality, anatomy, view, laterality it tells |
| `presence` | `concept`, `label_set` |
| `attribute_is`, `attribute` | `attribute` |
| `class` | `label_set` |
| `findings` | `label_set`, `all` |
| `grade` | `concept`, `label_set` |
| `locate`, `point` | `concept`, `label_set`, `all` |
| `identify` | `label_set` |
| `refer`, `describe` | `concept`, `label_set`: an expression singles out one object; its box is the answer, or given |
| `prompts` | `concept`, `label_set`, `levels`: the line of the answer that each of p1 to p6 is |
| `count` | `concept`, `label_set` |
| `count_total` | `concepts`, `label_set` |
| `measure` | `concept`, `label_set`; of one `quantity` its `unit`, `decimals`, `tolerance`, of two things `concepts` |
| `choice` | `of` (what kind of question it is) with its keys, `options`, `letters` |
| `compare` | `concept`, `label_set`: two images of one patient, the earlier first |
| `any_of` | `concepts`, `group`: only as a turn of a conversation |
| `dialogue` | `turns`: what each turn of a conversation asked, in order |
| `source` | |

Any of them may say `knowledge`: the concepts of which the text tells something in general (`knowledge.py`); `form`:
`string` says that a caption is a label string, which is no sentence.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from curate.rows import Annotation, Asset, Draft
from curate.schema import CheckVerdict, Reason, Refusal
from curate.verify.anatomy import Anatomy
from curate.verify.answer_in_question import AnswerInQuestion
from curate.verify.answerability import Answerability
from curate.verify.comparison import Comparison
from curate.verify.consistency import Consistency
from curate.verify.counts import Counts
from curate.verify.dialogue import GROUP, judge_group, turns_of
from curate.verify.identifiers import Identifiers
from curate.verify.image_tokens import ImageTokens
from curate.verify.labels import Labels
from curate.verify.language import Language
from curate.verify.laterality import Laterality
from curate.verify.lexicon import lexicons_digest
from curate.verify.negation import Negation
from curate.verify.numbers import Numbers
from curate.verify.options import Options
from curate.verify.places import Boxes, Points
from curate.verify.reading import Reader, Reading
from curate.verify.source_text import SourceText
from curate.verify.uncertainty import Uncertainty
from curate.vocabulary import Vocabulary

__all__ = ["VERSIONS", "Checked", "Verifier", "lexicons_digest", "verify"]

_CLASSES = (
    ImageTokens,
    Labels,
    Negation,
    Uncertainty,
    Laterality,
    Numbers,
    Counts,
    Boxes,
    Points,
    Anatomy,
    Comparison,
    Answerability,
    Identifiers,
    Language,
    Options,
    Consistency,
    AnswerInQuestion,
    SourceText,
)

_PASS, _FAIL = CheckVerdict.PASS.value, CheckVerdict.FAIL.value
_NOT_APPLICABLE = CheckVerdict.NOT_APPLICABLE.value

_OF_WORDING = frozenset(
    {ImageTokens.name, Laterality.name, Numbers.name, Anatomy.name, Comparison.name, Answerability.name}
    | {Identifiers.name, Language.name}
)
"""Rules that judge a question about a group by its words."""

VERSIONS: Mapping[str, int] = {rule.name: rule.version for rule in _CLASSES}
"""The version of every rule: part of the fingerprint of whatever verifies."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The answer of every rule in the order of `schema.RULES`, and the first refusal."""

    checks: dict[str, str]
    refusal: Refusal | None


class Verifier:
    """All rules for one source. It remembers the last reading, so it belongs to one thread."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._reader = Reader(vocabulary)
        self.rules = tuple(rule(self._reader) for rule in _CLASSES)

    def verify(self, draft: Draft, assets: tuple[Asset, ...], annotations: tuple[Annotation, ...]) -> Checked:
        """Every rule's answer about a draft; `annotations` are all those of its assets.

        The turns of a conversation are judged one by one: a rule fails where it refuses one of them.
        """
        turns = turns_of(draft)
        if turns is None:
            return self._exchange(draft, assets, annotations)
        if isinstance(turns, Refusal):
            return Checked(dict.fromkeys(VERSIONS, _NOT_APPLICABLE) | {Consistency.name: _FAIL}, turns)
        judged = [self._exchange(turn, assets, annotations) for turn in turns]
        refusal = next((one.refusal for one in judged if one.refusal is not None), None)
        return Checked({name: _worst([one.checks[name] for one in judged]) for name in VERSIONS}, refusal)

    def _exchange(self, draft: Draft, assets: tuple[Asset, ...], annotations: tuple[Annotation, ...]) -> Checked:
        """Every rule's answer about one question and its answer."""
        checks: dict[str, str] = {}
        refusal: Refusal | None = None
        reading = self._reader.read(draft, assets, annotations)
        if reading.ask == GROUP:
            return self._group(reading)
        for rule in self.rules:
            verdict = rule.judge(reading)
            if isinstance(verdict, Refusal):
                checks[rule.name] = _FAIL
                # Of a text in another language every other rule only says that it knows no word of it.
                refusal = verdict if refusal is None or verdict.reason is Reason.LANGUAGE else refusal
            else:
                checks[rule.name] = _PASS if verdict is None else _NOT_APPLICABLE
        return Checked(checks, refusal)

    def _group(self, reading: Reading) -> Checked:
        """The rules that speak of the wording of a question, and the one on its group and answer."""
        checks = dict.fromkeys(VERSIONS, _NOT_APPLICABLE)
        refusal = judge_group(reading)
        checks[Consistency.name] = _PASS if refusal is None else _FAIL
        for rule in self.rules:
            if rule.name not in _OF_WORDING:
                continue
            verdict = rule.judge(reading)
            if isinstance(verdict, Refusal):
                checks[rule.name] = _FAIL
                refusal = refusal or verdict
            else:
                checks[rule.name] = _PASS if verdict is None else _NOT_APPLICABLE
        return Checked(checks, refusal)


def _worst(verdicts: list[str]) -> str:
    return next((one for one in (_FAIL, _PASS) if one in verdicts), _NOT_APPLICABLE)


def verify(
    draft: Draft,
    assets: tuple[Asset, ...],
    annotations: tuple[Annotation, ...],
    vocabulary: Vocabulary,
) -> Checked:
    """Every rule's answer about one draft.

    `annotations` are all those of the draft's assets; `vocabulary` is what each label set can name. Who has many drafts
    keeps a `Verifier`.
    """
    return Verifier(vocabulary).verify(draft, assets, annotations)
