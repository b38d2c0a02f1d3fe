"""Words and sentences of English and Chinese, as far as mutators need them. The lists are the bench's own."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

__all__ = [
    "FOLDER",
    "HEDGE",
    "NEGATION",
    "before",
    "capital",
    "has_hedge",
    "has_negation",
    "load",
    "mentions",
    "phrases",
    "plural",
    "sentences",
    "spans",
    "surface",
    "tokens_of",
]

FOLDER = Path(__file__).parent / "words"

NEGATION = {
    "en": re.compile(
        r"\b(no|not|none|nor|neither|never|without|absent|absence|negative|free of|lacks?|lacking|cannot|unremarkable|"
        r"normal|clear|denies|fails?|failed|excluded?|ruled out|resolved|spared?|zero|0|nothing|unaffected|exclud\w+|"
        r"un(?:likely|certain|clear)|\w+n't|rather than|instead of)\b",
        re.IGNORECASE,
    ),
    "zh": re.compile(r"[无未非没不否]|阴性|除外|排除|缺如|消失|正常|清晰|零|免"),
}
HEDGE = {
    "en": re.compile(
        r"\b(may|might|could|would|should|possibl\w+|probabl\w+|likely|likelihood|unlikely|suspect\w*|suspicio\w+|suggest\w*|"
        r"question\w*|equivocal|indeterminate|uncertain\w*|unclear|cannot|can't|can not|consider\w*|concern\w*|"
        r"presum\w+|apparent\w*|appears?|seems?|perhaps|maybe|doubt\w*|favou?r\w*|differential|raise\w*|worrisome|"
        r"not (?:be )?(?:excluded|ruled out|certain)|ruled out|excluded?|borderline|inconclusive|potential\w*|"
        r"consistent with|compatible with|sure|confiden\w+|definit\w+|certain\w*|tentative\w*|if)\b",
        re.IGNORECASE,
    ),
    "zh": re.compile(
        r"可能|考虑|疑|或许|似|待排|待除外|不除外|排除|除外|倾向|提示|不确定|不能|难以|有待|未必|大概|存疑|确定|明确|符合"
    ),
}


@cache
def load(name: str) -> Any:
    """One of the word lists beside this module."""
    return yaml.load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)


def phrases(kind: str, language: str, name: str = "", **words: object) -> list[str]:
    """The sentences of one kind in `words/phrases.yaml`, their places filled."""
    told = {"name": name, "Name": capital(name), "many": plural(name)} | words
    return [sentence.format(**told) for sentence in _phrases()[kind][language]]


@cache
def _phrases() -> dict[str, dict[str, list[str]]]:
    table: dict[str, dict[str, list[str]]] = load("phrases")
    return table


def has_negation(text: str, language: str) -> bool:
    """True where any word of the text might turn its sense."""
    return NEGATION[language].search(text) is not None


def has_hedge(text: str, language: str) -> bool:
    """True where any word of the text might soften its sense."""
    return HEDGE[language].search(text) is not None


def sentences(text: str, language: str) -> list[str]:
    """The sentences of a text with their stops and the spaces behind; joined again they are the text."""
    parting = r"[^.!?]*(?:[.!?](?=\d)[^.!?]*)*[.!?]*\s*" if language == "en" else r"[^。！？；]*[。！？；]*\s*"
    return [part for part in re.findall(parting, text) if part]


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def before(head: str, word: str) -> str:
    """The text before a word, with the indefinite article that it ends with made to fit the word."""
    return re.sub(
        r"\b(a)n? $", lambda found: found[1] + ("n " if word[:1].lower() in "aeiou" else " "), head, flags=re.I
    )


IRREGULAR = {
    "nucleus": "nuclei",
    "diverticulum": "diverticula",
    "metastasis": "metastases",
    "diverticulosis": "diverticulosis",
    "vertebra": "vertebrae",
    "tooth": "teeth",
    "drusen": "drusen",
    "exudates": "exudates",
}
MASS = re.compile(
    r"(sis|itis|ia|ema|aly|ion|opathy|loss|caries|fat|tissue|fluid|mucus|debris|stroma|muscle|blood|ascites)$"
)


def plural(name: str) -> str:
    """The regular English plural of a name's last word; names that have none keep their form."""
    head, _, last = name.rpartition(" ")
    if last in IRREGULAR:
        many = IRREGULAR[last]
    elif MASS.search(last) and last not in ("lesion", "erosion", "infection", "fusion"):
        many = last
    elif re.search(r"(s|x|z|ch|sh)$", last):
        many = last if last.endswith("s") and not last.endswith("ss") else last + "es"
    elif re.search(r"[^aeiou]y$", last):
        many = last[:-1] + "ies"
    else:
        many = last + "s"
    return f"{head} {many}".strip()


@cache
def concepts() -> dict[str, dict[str, list[str]]]:
    """Concept -> `en` and `zh` names beside its own, and `near`: others that are easily taken for it."""
    table: dict[str, dict[str, list[str]]] = load("concepts")
    return table


SPELLINGS = (
    ("edema", "oedema"), ("anemia", "anaemia"), ("hemorrhage", "haemorrhage"), ("leukocyte", "leucocyte"),
    ("esophag", "oesophag"), ("tumor", "tumour"), ("hem", "haem"), ("fibrous", "fibrous"),
)  # fmt: skip


@cache
def surface(concept: str, language: str) -> tuple[str, ...]:
    """The words by which a text may call a concept, longest first."""
    entry = concepts().get(concept, {})
    if language == "zh":
        return tuple(sorted(entry.get("zh", []), key=lambda name: (-len(name), name)))
    names = {concept, *entry.get("en", [])}
    names |= {name.replace(ours, theirs) for name in names for ours, theirs in SPELLINGS if ours in name}
    names |= {plural(name) for name in names}
    return tuple(sorted(names, key=lambda name: (-len(name), name)))


def spans(text: str, concept: str, language: str) -> Iterator[tuple[int, int]]:
    """Where a text names a concept, left to right, the longest name first; overlaps are left out."""
    pattern = _named(concept, language)
    if pattern is not None:
        for match in pattern.finditer(text):
            yield match.span()


@cache
def _named(concept: str, language: str) -> re.Pattern[str] | None:
    names = surface(concept, language)
    bounds = r"\b" if language == "en" else ""
    return re.compile(f"{bounds}(?:{'|'.join(map(re.escape, names))}){bounds}", re.IGNORECASE) if names else None


def mentions(text: str, concept: str, language: str) -> bool:
    """True where a text names a concept."""
    return next(spans(text, concept, language), None) is not None


GENERIC = frozenset(load("generic"))


@cache
def tokens_of(name: str) -> frozenset[str]:
    """The words of a name that tell it from others, plural and British spellings folded."""
    folded = name.lower()
    for ours, theirs in SPELLINGS:
        folded = folded.replace(theirs, ours)
    return frozenset(word.rstrip("s") for word in re.findall(r"[a-z]+", folded)) - GENERIC
