"""Who speaks when: roles, their order, empty turns, calls of tools."""

import itertools
import json
from collections.abc import Iterator
from typing import Any, Final

from curate.published.record import ASSISTANT, CALL, OBSERVATION, SYSTEM, USER, Record, Turn
from curate.published.report import Finding, RuleDoc
from curate.published.rules.base import Kinds, Scope

__all__ = ["Calls", "Roles"]

_ROLE_ORDER = RuleDoc(
    "role_order",
    "error",
    "Turns alternate between the side that asks (user, observation) and the side that answers (assistant, call).",
    "LLaMA-Factory's loader drops such a row with a warning; chat templates raise on it.",
)
_EMPTY = RuleDoc("empty_turn", "error", "No turn and no answer is empty.", "An empty answer teaches to say nothing.")
_CALL = RuleDoc(
    "tool_call",
    "error",
    "A call of a tool is a JSON object with a name, and the list of tools is JSON.",
    "LLaMA-Factory and OpenAI's fine-tuning format parse both before training.",
)
_ASKS: Final = {USER, OBSERVATION}
_ANSWERS: Final = {ASSISTANT, CALL}


class Roles:
    """`role_order` and `empty_turn`."""

    def __init__(self, scope: Scope) -> None:
        self.order, self.empty = Kinds(_ROLE_ORDER, scope), Kinds(_EMPTY, scope)

    def see(self, record: Record) -> None:
        """Look at a row."""
        if record.turns:
            self.order.of += 1
            kind = _disorder(record)
            if kind:
                self.order.hit(kind, record.locator)
        if record.turns or record.answer is not None or record.chosen is not None:
            self.empty.of += 1
            if _has_empty(record):
                self.empty.hit("empty", record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        yield from self.order.findings(
            {
                "not a turn": "a turn is no object with a role and a text",
                "unknown role": "a role that no common format knows",
                "system": "a system turn that is not the first",
                "first": "the first turn is not the user's",
                "order": "two turns of one side follow each other",
                "last": "the last turn is not an answer",
            }
        )
        yield from self.empty.findings({"empty": "a turn or an answer without any text"})


def _disorder(record: Record) -> str | None:
    turns = record.turns
    if any(turn.role is None and not turn.said_role for turn in turns):
        return "not a turn"
    if any(turn.role is None for turn in turns):
        return "unknown role"
    body = turns[1:] if turns[0].role == SYSTEM else turns
    if any(turn.role == SYSTEM for turn in body):
        return "system"
    if not body or body[0].role not in _ASKS:
        return "first"
    for before, after in itertools.pairwise(body):
        several = before.role == after.role == OBSERVATION  # results of parallel calls
        if (before.role in _ASKS) == (after.role in _ASKS) and not several:
            return "order"
    separate = record.chosen is not None or record.answer is not None
    if body[-1].role not in _ANSWERS and not separate:
        return "last"
    return None


def _has_empty(record: Record) -> bool:
    if any(_is_empty(turn) for turn in record.turns):
        return True
    return any(text is not None and not text.strip() for text in (record.answer, record.chosen, record.rejected))


def _is_empty(turn: Turn) -> bool:
    return turn.role != SYSTEM and not turn.calls and (turn.text is None or not turn.text.strip())


class Calls:
    """`tool_call`."""

    def __init__(self, scope: Scope) -> None:
        self.kinds, self.tools = Kinds(_CALL, scope), 0

    def see(self, record: Record) -> None:
        """Look at a row."""
        if isinstance(record.tools, str) and record.tools.strip():
            self.tools += 1
            if _parsed(record.tools) is None:
                self.kinds.hit("tools", record.locator)
        for turn in record.turns:
            if turn.role == CALL and turn.text is not None:
                self.kinds.of += 1
                kind = _call_defect(turn.text)
                if kind:
                    self.kinds.hit(kind, record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        yield from self.kinds.findings({"tools": "the list of tools is not JSON"}, of=self.tools)
        yield from self.kinds.findings(
            {"call": "a call that is not JSON", "name": "a call without the name of a function"}
        )


def _call_defect(text: str) -> str | None:
    found = _parsed(text)
    if found is None:
        return "call"
    calls = found if isinstance(found, list) else [found]
    return (
        None if calls and all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in calls) else "name"
    )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
