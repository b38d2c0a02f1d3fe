"""One published row as what it says: who speaks which words, about which media, with which boxes, under which names.

The shapes are told apart by their keys. Conventions that a row may follow:

- LLaVA and ShareGPT: `conversations` of `from` and `value`; LLaMA-Factory adds `images`, `videos`, `audios`, `tools`
- OpenAI and ms-swift: `messages` of `role` and `content`, the latter a text or a list of parts; `objects` with `ref`
  and `bbox`; `rejected_response`
- preference: `chosen` and `rejected` (LLaMA-Factory, TRL), `conversations` and `rejected_conversations` (MMedPO),
  `positive_response` and `negative_response`; KTO: turns and a truth value
- question and answer in one object or line, with `options` or columns `A`, `B`, ...; question trees as lists of
  [question, answers, history, details]
- Alpaca: `instruction`, `input`, `output`; referring prompts by level; captions; replies of a model; plain texts
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from curate.published.keys import LETTERS, Plan, plan_of
from curate.published.values import is_number, path_list, quads, scalar, text_list

__all__ = ["ASSISTANT", "CALL", "OBSERVATION", "SYSTEM", "USER", "Box", "Record", "Turn", "as_record", "nested"]

USER: Final = "user"
ASSISTANT: Final = "assistant"
SYSTEM: Final = "system"
CALL: Final = "call"
OBSERVATION: Final = "observation"

_ROLES: Final = {
    "human": USER, "user": USER, "question": USER, "instruction": USER, "patient": USER,
    "gpt": ASSISTANT, "assistant": ASSISTANT, "bot": ASSISTANT, "chatgpt": ASSISTANT, "model": ASSISTANT,
    "answer": ASSISTANT, "bing": ASSISTANT, "bard": ASSISTANT, "radiologist": ASSISTANT,
    "system": SYSTEM, "developer": SYSTEM,
    "function_call": CALL, "tool_call": CALL, "function-call": CALL,
    "observation": OBSERVATION, "tool": OBSERVATION, "function": OBSERVATION, "tool_response": OBSERVATION,
    "function_response": OBSERVATION,
}  # fmt: skip
_PARTS: Final = {"image_url": "image", "image": "image", "video": "video", "video_url": "video", "audio": "audio",
                 "input_audio": "audio", "input_image": "image"}  # fmt: skip
MAX_TREE_FIELDS: Final = 4


_INHERITED: Final = ("image", "video", "audio", "subject", "split")


class Turn(msgspec.Struct, frozen=True):
    """What one side says; `role` is one of ours, `said_role` the row's own word. `text` is null where it is no text."""

    role: str | None
    text: str | None
    said_role: str = ""
    calls: bool = False  # carries structured tool calls


class Box(msgspec.Struct, frozen=True):
    """Four numbers of a row, in its own convention."""

    coords: tuple[float, ...]


T = TypeVar("T")


class _Once(Generic[T]):
    """A value that is made from a record when it is first asked for; afterwards it is found in the record itself."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __get__(self, record: Any, owner: type | None = None) -> T:
        made = record.__dict__[self._make.__name__] = self._make(record)
        return made


class Record(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A row. `media` names what each kind of field lists, null where the row has no such field."""

    number: int
    locator: str
    shape: str
    id: str | None = None
    turns: tuple[Turn, ...] = ()
    chosen: str | None = None
    rejected: str | None = None
    rejected_turns: tuple[Turn, ...] = ()
    question: str | None = None
    answer: str | None = None
    answers: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    option_letters: tuple[str, ...] = ()
    closed: bool | None = None
    history: tuple[tuple[str, tuple[str, ...]], ...] = ()
    label: bool | None = None
    media: Mapping[str, tuple[str, ...]] = {}
    boxes: tuple[Box, ...] | None = None
    levels: Mapping[str, tuple[str, ...]] = {}  # texts of a referring prompt, by level
    objects: dict[str, int] | None = None  # how many references and boxes an ms-swift row lists
    size: tuple[float, float] | None = None
    subject: str | None = None
    split: str | None = None
    tools: Any = None
    fields: Mapping[str, Any] = {}

    @_Once
    def said(self) -> tuple[str, ...]:
        """Everything that is taught: answers, a chosen answer, prompts. What was rejected is not among it."""
        texts = [turn.text for turn in self.turns if turn.role == ASSISTANT and turn.text]
        if self.chosen:
            texts.append(self.chosen)
        elif self.answer and not texts:
            texts.append(self.answer)
        texts += [text for level in self.levels.values() for text in level if text]
        return tuple(dict.fromkeys(texts))

    @_Once
    def low_said(self) -> tuple[str, ...]:
        """`said` in small letters."""
        return tuple(text.lower() for text in self.said)

    @_Once
    def final(self) -> str | None:
        """The last answer: what the row teaches."""
        if self.chosen is not None:
            return self.chosen
        if self.answer is not None:
            return self.answer
        last = self.turns[-1] if self.turns else None
        return last.text if last is not None and last.role == ASSISTANT else None

    @_Once
    def low_final(self) -> str | None:
        """`final` in small letters."""
        return None if self.final is None else self.final.lower()

    @_Once
    def asked(self) -> str:
        """All that the other side says."""
        if self.question is not None and not self.turns:
            return self.question
        return "\n".join(turn.text for turn in self.turns if turn.role == USER and turn.text)

    @_Once
    def low_asked(self) -> str:
        """`asked` in small letters."""
        return self.asked.lower()

    @_Once
    def words(self) -> str:
        """All that is asked, taught and rejected, as one text: to look for what must not stand anywhere."""
        return "\n".join((self.asked, *self.said, self.rejected or ""))

    @property
    def images(self) -> tuple[str, ...]:
        """The images that the row names."""
        return self.media.get("image", ())


def as_record(value: Any, number: int, locator: str) -> Record:
    """A value of JSON, or the cells of a line, as a record. What it is not known to say stays empty."""
    if isinstance(value, str):
        return Record(number=number, locator=locator, shape="text", question=value)
    if isinstance(value, list):
        return _from_list(value, number, locator)
    if not isinstance(value, dict):
        return Record(number=number, locator=locator, shape="value")
    return _from_object(value, number, locator)


def nested(value: Any) -> list[tuple[str, dict[str, Any]]]:
    """Questions with answers that a row holds in lists: (where, question), with the row's media and identifiers.

    Empty for a row that asks or says something itself.
    """
    if not isinstance(value, dict):
        return []
    plan = plan_of(tuple(value))
    if any(plan.has(role) for role in ("turns", "question", "chosen", "rejected", "levels", "reply")):
        return []
    around = {key: value[key] for role in _INHERITED for key in plan.roles.get(role, ())}
    held = [(str(key), one) for key, one in value.items()]
    held += [(f"{key}.{inner}", two) for key, one in held if isinstance(one, dict) for inner, two in one.items()]
    return [
        (f"{key} {at}", {**around, **one})
        for key, listed in held
        if isinstance(listed, list)
        for at, one in enumerate(listed, 1)
        if isinstance(one, dict) and (inner := plan_of(tuple(one))).has("question") and inner.has("answer")
    ]


def _from_list(value: list[Any], number: int, locator: str) -> Record:
    tree = len(value) == MAX_TREE_FIELDS and isinstance(value[0], str) and isinstance(value[3], dict)
    if tree and isinstance(value[1], list) and isinstance(value[2], list):
        question, answers, history, details = value
        kind = details.get("answer_type")
        before = tuple((str(one[0]), text_list(one[1])) for one in history if isinstance(one, list) and len(one) == 2)
        said = text_list(answers)
        return Record(
            number=number, locator=locator, shape="question tree", question=question, answers=said,
            answer=said[0] if len(said) == 1 else None, options=text_list(details.get("options")),
            closed=kind == "single_choice" if isinstance(kind, str) else None, history=before, fields=details,
        )  # fmt: skip
    if len(value) in (2, 3) and isinstance(value[0], str):
        classed = {str(at): one for at, one in enumerate(value)}
        return Record(
            number=number, locator=locator, shape="labelled path", media={"image": (value[0],)}, fields=classed
        )
    return Record(number=number, locator=locator, shape="list", fields={})


def _from_object(value: dict[str, Any], number: int, locator: str) -> Record:
    plan = plan_of(tuple(value))
    roles = plan.roles

    def first(role: str) -> Any:
        for key in roles.get(role, ()):
            held = value[key]
            if held is not None:
                return held
        return None

    found = first("turns")
    if found is None and isinstance(first("prompt"), list):
        found = first("prompt")
    turns, parts = _turns(found)
    answers = text_list(first("answer"))
    reward = first("reward")
    if not answers and isinstance(reward, dict):
        answers = text_list(reward.get("ground_truth"))
    question, label = _asked(first("question"), first("more")), first("label")
    options, letters = _options(value, plan, first("options"))
    rejected_turns, rejected = _said(first("rejected"))
    chosen = _said(first("chosen"))[1]
    if rejected is not None and chosen is None:
        chosen = turns[-1].text if turns and turns[-1].role == ASSISTANT else (answers[0] if answers else None)
    levels = first("levels")
    levels = {str(level): text_list(texts) for level, texts in levels.items()} if isinstance(levels, dict) else {}
    shape = _shape(plan, value, turns=bool(turns), rejected=rejected is not None, label=label, levels=bool(levels),
                   question=question is not None, answered=bool(answers or options))  # fmt: skip
    kept = first("caption") if shape in ("caption", "document") else first("reply") if shape == "reply" else None
    answer = (answers[0] if len(answers) == 1 else None) if kept is None else _text(kept)
    media = {kind: path_list(value, plan.roles[kind]) for kind in ("image", "video", "audio") if plan.has(kind)}
    return Record(
        number=number, locator=locator, shape=shape, id=scalar(first("id")),
        turns=turns, chosen=chosen, rejected=rejected, rejected_turns=rejected_turns,
        question=question, answer=answer, answers=answers, options=options, option_letters=letters,
        label=label if isinstance(label, bool) else None, media=media | parts if parts else media,
        boxes=_boxes(first("boxes"), first("objects")) if plan.has("boxes") or plan.has("objects") else None,
        levels=levels, objects=_objects(first("objects")), size=_size(value, plan),
        subject=scalar(first("subject")), split=scalar(first("split")), tools=first("tools"), fields=value,
    )  # fmt: skip


def _shape(
    plan: Plan,
    value: dict[str, Any],
    *,
    turns: bool,
    rejected: bool,
    label: Any,
    levels: bool,
    question: bool,
    answered: bool,
) -> str:
    if rejected:
        return "preference"
    if isinstance(label, bool) and (turns or "completion" in value):
        return "truth label"
    if turns:
        return "messages" if "messages" in value or "prompt" in value else "conversations"
    if levels:
        return "referring prompts"
    if "instruction" in value and "output" in value:
        return "instruction"
    if question and answered:
        return "question and answer"
    if question and (plan.has("image") or "file" in value):
        return "question"
    if plan.has("reply") and not plan.has("image"):
        return "reply"
    captioned = any(isinstance(value[key], str) for key in plan.roles.get("caption", ()))
    if captioned and plan.has("image"):
        return "caption"
    if captioned:
        return "document"
    return "image annotations" if plan.has("boxes") or plan.has("image") else "object"


def _turns(found: Any) -> tuple[tuple[Turn, ...], dict[str, tuple[str, ...]]]:
    if not isinstance(found, list):
        return (), {}
    turns, media = [], dict[str, tuple[str, ...]]()
    for one in found:
        if not isinstance(one, dict):
            turns.append(Turn(None, None))
            continue
        role = one.get("from", one.get("role"))
        text = one.get("value", one.get("content"))
        if not isinstance(text, str):
            text, parts = _content(text)
            for kind, paths in parts.items():
                media[kind] = media.get(kind, ()) + paths
        known = _ROLES.get(role) or _ROLES.get(role.strip().lower()) if isinstance(role, str) else None
        calls = bool(one.get("tool_calls") or one.get("function_call"))
        turns.append(Turn(known, text, role if isinstance(role, str) else "", calls))
    return tuple(turns), media


def _content(content: Any) -> tuple[str | None, dict[str, tuple[str, ...]]]:
    if not isinstance(content, list):
        return (content if isinstance(content, str) else None), {}
    words, media = [], dict[str, tuple[str, ...]]()
    for part in content:
        if isinstance(part, str):
            words.append(part)
            continue
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in _PARTS:
            medium = _PARTS[kind]
            words.append(f"<{medium}>")
            path = part.get(kind, part.get("path", part.get("url")))
            path = path.get("url") if isinstance(path, dict) else path
            if isinstance(path, str):
                media[medium] = (*media.get(medium, ()), path)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            words.append(part["text"])
    return "".join(words), media


def _said(value: Any) -> tuple[tuple[Turn, ...], str | None]:
    """The turns and the last answer of a side of a preference: a text, a turn, or a list of turns."""
    if isinstance(value, str):
        return (), value
    if isinstance(value, dict):
        text = value.get("value", value.get("content"))
        return (), text if isinstance(text, str) else None
    turns, _ = _turns(value)
    said = [turn.text for turn in turns if turn.role == ASSISTANT and turn.text is not None]
    return turns, said[-1] if said else None


def _asked(question: Any, more: Any) -> str | None:
    if not isinstance(question, str):
        return None
    return f"{question}\n{more}" if isinstance(more, str) and more else question


def _options(value: dict[str, Any], plan: Plan, found: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if isinstance(found, dict):
        return tuple(str(one) for one in found.values()), tuple(str(key).strip().rstrip(".)") for key in found)
    if isinstance(found, list):
        texts = text_list(found)
        return texts, tuple(LETTERS[: len(texts)])
    texts = tuple(text for key in plan.lettered if (text := scalar(value[key])))
    return texts, tuple(LETTERS[: len(texts)])


def _boxes(found: Any, objects: Any) -> tuple[Box, ...] | None:
    if found is None and isinstance(objects, dict):
        found = objects.get("bbox")
    return None if found is None else tuple(Box(coords) for coords in quads(found))


def _objects(found: Any) -> dict[str, int] | None:
    if not isinstance(found, dict):
        return None
    return {name: len(found[name]) for name in ("ref", "bbox") if isinstance(found.get(name), list)}


def _size(value: dict[str, Any], plan: Plan) -> tuple[float, float] | None:
    if plan.size is None:
        return None
    width, height = (value[key] for key in plan.size)
    return (float(width), float(height)) if is_number(width) and is_number(height) else None


def _text(found: Any) -> str | None:
    return found if isinstance(found, str) else None
