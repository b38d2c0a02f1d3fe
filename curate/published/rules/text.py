"""What no answer should hold: talk about the task, holes of templates, remains of de-identification, broken letters."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Final

from curate.published.lexicon import Phrases, phrases
from curate.published.record import Record
from curate.published.report import Finding, RuleDoc
from curate.published.rules.base import Kinds, Scope

__all__ = ["PLACEHOLDER", "Echo", "Holes", "Identifiers", "JsonAsked", "MetaText"]

_META = RuleDoc(
    "meta_text",
    "warning",
    "No answer speaks of its own task: its falsity, its speaker, the text it was made from, its prompt.",
    "Seen from language models that wrote the answers; in a rejected answer it gives the preference away.",
)
PLACEHOLDER = RuleDoc(
    "placeholder",
    "error",
    "No hole of a template is left in a text.",
    "The words that belong there were never filled in.",
)
_DEID = RuleDoc(
    "deid_token",
    "warning",
    "No mark of a de-identifier stands in a text.",
    "`___` of MIMIC-CXR, `XXXX` of IU X-ray, `[** **]` of MIMIC-III: the model learns to write them.",
)
_MOJIBAKE = RuleDoc(
    "mojibake", "error", "Letters are what their author wrote.", "UTF-8 read as another encoding and written again."
)
_IDENTIFIER = RuleDoc(
    "identifier",
    "warning",
    "No date, telephone number, e-mail address or number of a person stands in a text.",
    "HIPAA Safe Harbor, 45 CFR 164.514(b)(2).",
)
_ECHO = RuleDoc(
    "question_in_answer",
    "warning",
    "An answer does not begin by repeating its question.",
    "The model learns to repeat.",
)
_JSON = RuleDoc(
    "json_asked",
    "error",
    "Where JSON was asked for, the answer is JSON.",
    "A fence around it is only noted: a reader must take it off.",
)
_MOJIBAKE_RUN: Final = re.compile(
    "[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u2122\u20ac]+"
)
_LOST: Final = ("\ufffd", "\ufeff", "锟斤拷", "烫烫烫", "屯屯屯")
_CONTROL: Final = re.compile("[\u0080-\u009f]")
_LATIN: Final = re.compile("[\u0080-\u00ff]")
_IDENTIFIERS: Final = {
    "date": re.compile(
        r"\b(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])\b"
        r"|\b(?:0?[1-9]|[12]\d|3[01])[/.](?:0?[1-9]|[12]\d|3[01])[/.](?:19|20)\d\d\b"
        r"|\b(?:January|February|March|April|May|June|July|August|September|October|November|December)"
        r" \d{1,2}(?:st|nd|rd|th)?,? (?:19|20)\d\d\b"
        r"|(?:19|20)\d\d ?年 ?\d{1,2} ?月 ?\d{1,2} ?日"
    ),
    "e-mail": re.compile(r"[\w.+-]+@[\w-]+\.[a-zA-Z]{2,}"),
    "telephone": re.compile(
        r"(?<![\w.-])(?:\+\d{1,3}[ -]?)?\(?\d{3}\)?[ -]\d{3}[ -]\d{4}(?![\w-])|(?<!\d)1[3-9]\d{9}(?!\d)"
    ),
    "name with a title": re.compile(
        r"\b(?:Dr|Mr|Mrs|Ms|Prof)\.? [A-Z][a-z]+(?! (?:scale|score|classification|sign|criteria))\b"
        r"|(?:姓名|患者名)[:：]\s*[\u4e00-\u9fff]{2,4}"
    ),
    "number of a person": re.compile(
        r"\b(?:MRN|[Mm]edical [Rr]ecord (?:[Nn]umber|[Nn]o\.?)|[Pp]atient ID|[Aa]ccession(?: [Nn]umber)?|SSN)"
        r"[:#\s]{1,3}[A-Z0-9-]*\d{4,}"
        r"|(?:病历号|住院号|门诊号|检查号|身份证号?)[:：]?\s*[A-Za-z0-9]{5,}|(?<!\d)\d{17}[\dXx](?!\d)"
    ),
}
_TITLES: Final = ("Dr", "Mr", "Ms", "Prof", "名")
_DIGIT: Final = re.compile(r"\d")
_DIGITS: Final = re.compile(r"\d{4}|\d年|[/.]\d\d?[/.]\d\d|\d{3}\)?[ -]\d{3}")
"""Something that every identifier below holds; a date by digits ends or begins with a year."""
_SHORT: Final = 12
_ASKS_JSON: Final = re.compile(
    r"\b(?:as|in|into|valid|return|output|using|respond with|a|an)\b[^.?!\n]{0,40}\bjson\b(?! file)"
    r"|json ?(?:格式|形式|数组|对象)",
    re.IGNORECASE,
)
_CODE: Final = re.compile(r"```.*?```", re.DOTALL)
_FENCE: Final = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_META_KINDS: Final = {
    "assistant": "answers speak of their speaker (as an AI, I cannot view)",
    "source": "answers speak of the text they were made from (the description does not mention)",
    "prompt": "answers hold remains of a prompt",
}


class MetaText:
    """`meta_text`: every class in what is taught, and talk of falsity in what is rejected."""

    def __init__(self, scope: Scope) -> None:
        self.taught, self.refused = Kinds(_META, scope), Kinds(_META, scope)
        self._classes = {name: phrases(name) for name in _META_KINDS}
        self._verdict = phrases("verdict")

    def see(self, record: Record) -> None:
        """Look at a row."""
        if record.shape == "reply":
            return  # its preamble is told by `reply_needs_parser`
        texts = record.low_said
        if texts:
            self.taught.of += 1
            for name, words in self._classes.items():
                if any(words.found(low) for low in texts):
                    self.taught.hit(name, record.locator)
        if record.shape != "preference":
            return
        if any(self._verdict.found(low) for low in texts):
            self.taught.hit("verdict", record.locator)
        if record.rejected is not None:
            self.refused.of += 1
            low = record.rejected.lower()
            if self._verdict.found(low):
                self.refused.hit("verdict", record.locator)
            for name, words in self._classes.items():
                if words.found(low):
                    self.refused.hit(name, record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        falsity = "speak of falsity (contradict, incorrect, hallucinat, unlike the)"
        yield from self.refused.findings(
            {"verdict": f"rejected answers {falsity}"}
            | {name: f"rejected {said}" for name, said in _META_KINDS.items()}
        )
        yield from self.taught.findings({"verdict": f"chosen answers {falsity}"} | _META_KINDS)


class Holes:
    """`placeholder`, `deid_token` and `mojibake`, in all that a row says or asks."""

    def __init__(self, scope: Scope) -> None:
        self.holes, self.deid, self.letters = Kinds(PLACEHOLDER, scope), Kinds(_DEID, scope), Kinds(_MOJIBAKE, scope)
        self._words: tuple[Phrases, Phrases] = phrases("template"), phrases("deid")
        self.occurrences = 0

    def see(self, record: Record) -> None:
        """Look at a row."""
        if record.shape in ("reply", "object"):
            return  # a reply is judged line by line
        for kinds in (self.holes, self.deid, self.letters):
            kinds.of += 1
        low = record.words.lower()
        held = self._words[0].count(_prose(low)) if record.shape != "text" else 0  # a pool of texts may be templates
        self.occurrences += held
        if held:
            self.holes.hit("hole", record.locator)
        if self._words[1].found(low):
            self.deid.hit("deid", record.locator)
        if _is_mojibake(record.words):
            self.letters.hit("mojibake", record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rules."""
        yield from self.holes.findings({"hole": f"unfilled holes of a template, {self.occurrences} in all"})
        yield from self.deid.findings({"deid": "marks that a de-identifier left (___, XXXX, [** **])"})
        yield from self.letters.findings({"mojibake": "letters that were decoded wrongly"})


def _prose(text: str) -> str:
    """The text without blocks of code: their brackets are no holes."""
    return _CODE.sub(" ", text) if "```" in text else text


def _is_mojibake(text: str) -> bool:
    if text.isascii():
        return False
    if any(lost in text for lost in _LOST):
        return True
    if _LATIN.search(text) is None:
        return False
    return _CONTROL.search(text) is not None or any(_was_utf8(found[0]) for found in _MOJIBAKE_RUN.finditer(text))


def _was_utf8(run: str) -> bool:
    for encoding in ("cp1252", "latin-1"):
        try:
            run.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        return True
    return False


class Identifiers:
    """`identifier`, in all that a row says or asks."""

    def __init__(self, scope: Scope) -> None:
        self.kinds = Kinds(_IDENTIFIER, scope)

    def see(self, record: Record) -> None:
        """Look at a row."""
        if record.shape in ("object", "text"):
            return
        self.kinds.of += 1
        text = record.words
        numbered = _DIGIT.search(text) is not None and _DIGITS.search(text) is not None
        may_hold = {"e-mail": "@" in text, "name with a title": any(stem in text for stem in _TITLES)}
        for kind, pattern in _IDENTIFIERS.items():
            if may_hold.get(kind, numbered) and pattern.search(text):
                self.kinds.hit(kind, record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        yield from self.kinds.findings({kind: f"texts hold what reads as: {kind}" for kind in _IDENTIFIERS})


class Echo:
    """`question_in_answer`."""

    def __init__(self, scope: Scope) -> None:
        self.kinds = Kinds(_ECHO, scope)

    def see(self, record: Record) -> None:
        """Look at a row."""
        answer, asked = record.low_final, record.low_asked.replace("<image>", "").strip()
        if answer is None or len(asked) < _SHORT:
            return
        self.kinds.of += 1
        begins = answer.strip()
        for label in ("question:", "q:", "问题：", "问题:", "问："):
            begins = begins.removeprefix(label).lstrip()
        if begins.startswith(asked):
            self.kinds.hit("echo", record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        yield from self.kinds.findings({"echo": "an answer begins with its question"})


class JsonAsked:
    """`json_asked`."""

    def __init__(self, scope: Scope) -> None:
        self.kinds = Kinds(_JSON, scope)

    def see(self, record: Record) -> None:
        """Look at a row."""
        if record.turns:
            pairs = [
                (turn.text, after.text)
                for turn, after in itertools.pairwise(record.turns)
                if turn.role == "user" and after.role == "assistant"
            ]
        else:
            pairs = [(record.question, record.final)]
        for asked, answer in pairs:
            if not asked or answer is None or "json" not in asked.lower() or not _ASKS_JSON.search(asked):
                continue
            self.kinds.of += 1
            kind = _json_defect(answer)
            if kind:
                self.kinds.hit(kind, record.locator)

    def findings(self) -> Iterator[Finding]:
        """What breaks the rule."""
        yield from self.kinds.findings({"prose": "answers are not JSON though the question asks for it"})
        yield from self.kinds.findings({"fenced": "answers are JSON within a fence"}, severity="note")


def _json_defect(answer: str) -> str | None:
    fenced = _FENCE.fullmatch(answer.strip())
    try:
        json.loads(fenced[1] if fenced else answer)
    except (ValueError, RecursionError):
        return "prose"
    return "fenced" if fenced else None
