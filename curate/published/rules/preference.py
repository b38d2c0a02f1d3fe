"""Pairs of a chosen and a rejected answer: what tells them apart must be the truth, and nothing else."""

import re
import statistics
from collections import Counter
from collections.abc import Iterator
from typing import Final

from curate.published.record import Record
from curate.published.report import Finding, RuleDoc
from curate.published.rules.base import Kinds, Scope

__all__ = ["Pairs", "words"]

_IDENTICAL = RuleDoc(
    "identical_pair",
    "error",
    "Chosen and rejected differ.",
    "An identical pair has no gradient (DPO, arXiv:2305.18290). White space at the ends and case are not counted.",
)
_PREFIX = RuleDoc(
    "rejected_extends_chosen",
    "warning",
    "The rejected answer does not begin with the chosen one.",
    "The true answer is within the rejected one, and only length is punished. Identical pairs are counted too.",
)
_STYLE = RuleDoc(
    "style_shortcut",
    "warning",
    "Chosen and rejected answers are of like length.",
    "What length predicts teaches length (Singhal et al. 2023, arXiv:2310.03716). Words stand between white space; "
    "characters of Chinese count as words.",
)
_MISSING = RuleDoc("missing_side", "error", "A pair has both sides.", "Nothing can be preferred to nothing.")
_CHINESE: Final = re.compile("[\u4e00-\u9fff]+")
_REWARD = RuleDoc(
    "reward_order",
    "error",
    "The chosen answer has the higher reward.",
    "Where a pair records the rewards of both sides (`reward_chosen`, `chosen_score`, ...).",
)
_REWARDS: Final = (
    ("reward_chosen", "reward_rejected"), ("chosen_reward", "rejected_reward"), ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"), ("chosen_rating", "rejected_rating"),
)  # fmt: skip
_TWICE: Final = 2.0
"""A median of one side that is twice that of the other predicts the preference by itself."""
_ENOUGH: Final = 20


def words(text: str) -> int:
    """Words between white space; in a text without any, characters of Chinese."""
    split = len(text.split())
    if text.isascii():
        return split
    chinese = sum(map(len, _CHINESE.findall(text)))
    return chinese + split if chinese > split else split


class Pairs:
    """`identical_pair`, `rejected_extends_chosen`, `style_shortcut`, `missing_side`, `reward_order`."""

    def __init__(self, scope: Scope) -> None:
        self.identical, self.prefix = Kinds(_IDENTICAL, scope), Kinds(_PREFIX, scope)
        self.missing, self.style = Kinds(_MISSING, scope), Kinds(_STYLE, scope)
        self.reward = Kinds(_REWARD, scope)
        self._chosen: Counter[int] = Counter()
        self._rejected: Counter[int] = Counter()
        self._longer = 0

    def see(self, record: Record) -> None:
        """Look at a row."""
        if record.shape != "preference":
            return
        for kinds in (self.identical, self.prefix, self.missing, self.style):
            kinds.of += 1
        self._see_rewards(record)
        if record.chosen is None or record.rejected is None:
            self.missing.hit("missing", record.locator)
            return
        chosen, rejected = record.chosen.strip().lower(), record.rejected.strip().lower()
        if chosen == rejected:
            self.identical.hit("identical", record.locator)
        begins = chosen.rstrip(".。")
        if len(chosen) > 1 and begins and rejected.startswith(begins):
            self.prefix.hit("prefix", record.locator)
        lengths = words(chosen), words(rejected)
        self._chosen[lengths[0]] += 1
        self._rejected[lengths[1]] += 1
        self._longer += lengths[1] > lengths[0]

    def _see_rewards(self, record: Record) -> None:
        for names in _REWARDS:
            chosen, rejected = (record.fields.get(name) for name in names)
            if isinstance(chosen, (int, float)) and isinstance(rejected, (int, float)):
                self.reward.of += 1
                if chosen <= rejected:
                    self.reward.hit("order", record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        yield from self.reward.findings({"order": "the chosen answer has no higher reward than the rejected one"})
        yield from self.missing.findings({"missing": "a pair lacks its chosen or its rejected answer"})
        yield from self.identical.findings({"identical": "chosen and rejected are the same text"})
        yield from self.prefix.findings({"prefix": "the rejected answer begins with the chosen one"})
        if self._chosen.total() >= _ENOUGH:
            yield from self._style()

    def _style(self) -> Iterator[Finding]:
        chosen, rejected = (statistics.median(side.elements()) for side in (self._chosen, self._rejected))
        low, high = sorted((chosen, rejected))
        if high >= _TWICE * max(low, 1):
            total = self._chosen.total()
            longer = max(self._longer, total - self._longer) if rejected >= chosen else total - self._longer
            message = f"median length chosen {chosen:g} vs rejected {rejected:g} words"
            yield Finding(_STYLE.name, _STYLE.severity, self.style.scope.file, longer, total, (), message)
