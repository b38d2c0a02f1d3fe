"""Ways in which a true text becomes a false one. Imports nothing of `curate.verify` or its lexicons."""

import re
from collections.abc import Iterator

import msgspec

from curate.rows import Draft, Message, Subject
from tests.tasks.subjects import CELLS, CHEST_FINDINGS, DISEASES

_PLURALS = {f"{cell}s": cell for cell in CELLS}
_TERMS = sorted(
    {*CELLS, *_PLURALS, *(name.replace("_", " ").lower() for name in CHEST_FINDINGS), *(d.lower() for d in DISEASES)},
    key=len,
    reverse=True,
)
_SWAPS = {
    term: next(other for other in _TERMS[n + 1 :] + _TERMS if _PLURALS.get(other, other) != _PLURALS.get(term, term))
    for n, term in enumerate(_TERMS)
}
_INVENTED = (
    " There is also a large hiatal hernia.",
    " Sarcoidosis is present.",
    " Also seen is an eosinophil.",
    " The left clavicle is fractured.",
    " Compared with the previous image, this is unchanged.",
    " The patient is a 64-year-old man.",
    " A lesion of 12 mm is visible.",
)


def _said(draft: Draft, *, question: str | None = None, answer: str | None = None) -> Draft:
    first, *between, last = draft.messages
    turns = [Message("user", question or first.content), *between, Message("assistant", answer or last.content)]
    return msgspec.structs.replace(draft, messages=turns)


def _swap_words(text: str, table: dict[str, str]) -> Iterator[str]:
    for word, other in table.items():
        changed = re.sub(rf"\b{re.escape(word)}\b", other, text, count=1, flags=re.IGNORECASE)
        if changed != text:
            yield changed


def mutants(draft: Draft, subject: Subject) -> Iterator[tuple[str, Draft]]:
    """Every mutant of a draft, with the name of what was done: to its first question, or to its last answer."""
    question, answer = draft.messages[0].content, draft.messages[-1].content
    yield "image token dropped", _said(draft, question=question.replace("<image>\n", "", 1))
    yield "image token added", _said(draft, question="<image>\n" + question)
    yield "image token in the answer", _said(draft, answer=answer + " <image>")
    if draft.origin == "source":
        yield "source answer changed", _said(draft, answer=answer + ".")
        yield "source question changed", _said(draft, question=question.replace("i", "j"))
        return
    yield from _false_answers(draft, question, answer)
    for text in _INVENTED:
        yield "invented", _said(draft, answer=answer + text)
    for kind, table in (("concept", _SWAPS), ("side", {"left": "right", "right": "left"})):
        for text in _swap_words(answer, table):
            yield f"{kind} swapped in the answer", _said(draft, answer=text)
        for text in _swap_words(question, table):
            yield f"{kind} swapped in the question", _said(draft, question=text)
    for found in re.finditer(r"(?<![\w.])\d+(?![\w.]\d)", answer):
        for delta in (1, 10):
            text = answer[: found.start()] + str(int(found[0]) + delta) + answer[found.end() :]
            yield "number changed", _said(draft, answer=text)
    for found in re.finditer(r"(?<![\w.])\d+(?![\w.]\d)", question):
        text = question[: found.start()] + str(int(found[0]) + 3) + question[found.end() :]
        yield "number changed in the question", _said(draft, question=text)
    if draft.task in ("label_caption", "open_vqa") and "grade" not in draft.wording:
        for found in re.finditer(r"(, | and | or )(?!depict)[^,.]*?(?=,| and | or | is | are |\.)", answer):
            yield "finding dropped", _said(draft, answer=answer[: found.start()] + answer[found.end() :])
        for found in re.finditer(r"(?<=\. )[^.]+\.", answer):
            yield "sentence dropped", _said(draft, answer=answer[: found.start()] + answer[found.end() :])
    if answer.startswith("[["):
        yield "place dropped", _said(draft, answer=re.sub(r"\[\[[^\]]*\](, )?", "[", answer, count=1))
        yield "place doubled", _said(draft, answer=re.sub(r"\[(\[[^\]]*\])", r"[\1, \1", answer, count=1))


def _false_answers(draft: Draft, question: str, answer: str) -> Iterator[tuple[str, Draft]]:
    if answer.startswith(("Yes", "No,", "No.")) and draft.task == "closed_vqa":
        flipped = "No" + answer[3:] if answer.startswith("Yes") else "Yes" + answer[2:]
        yield "yes and no flipped", _said(draft, answer=flipped)
        yield "bare yes and no flipped", _said(draft, answer=re.split(r"[,.]", flipped)[0] + ".")
    negations = {
        "There is no evidence of ": "There is evidence of ",
        "There is no sign of ": "There is ",
        "No ": "",
        " shows no ": " shows ",
        " shows ": " does not show ",
        " is present": " is not present",
        " are present": " are absent",
        " are visible": " are not visible",
        " is visible": " is absent",
        " is seen": " is not seen",
        " are seen": " are not seen",
        "It shows ": "It shows no ",
        "There are ": "There are not ",
        " is possible": " is present",
        " are possible": " are absent",
        " may be present": " can be seen",
        " classified as ": " not classified as ",
    }
    rest = re.sub(r"^(Yes|No)[,.] ?", "", answer)
    head = answer[: len(answer) - len(rest)]
    for old, new in negations.items():
        if old in rest and not re.search(rf"not{re.escape(old)}", rest):
            yield "negated", _said(draft, answer=head + rest.replace(old, new, 1))
    yield "answer in the question", _said(draft, question=f"{question} The answer is: {answer}")
    if draft.task in ("open_vqa", "label_caption"):
        yield "whole answer in the question", _said(draft, question=f"{question} {answer}")
