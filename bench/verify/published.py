"""Published preference pairs as a test of the verifier: the chosen answer should stand, the rejected one should not.

Of a pair, question and chosen answer together may say something that an annotation can hold: that a thing is there or
not, how many there are, how the image was made, what part of the body and which plane it shows. Where they say nothing
else, that becomes the row's only annotation or attribute, and both answers are judged by it. Any file of that shape is
read the same way; pairs whose fact is not plain are counted and left out.

A chosen answer with remains of its making (marks, notes) is reported apart: refusing it is right. A "rejected" answer
may be true all the same, which is the file's fault and lowers our rate.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.verify.intervals import Rate
from bench.verify.judging import Judge
from bench.verify.rows import IMAGE_TOKEN, Row
from bench.verify.texts import load
from curate.published.documents import open_document, raw_rows
from curate.published.record import Record, as_record
from curate.rows import Annotation, Asset, Draft, Message
from curate.schema import Annotator, Kind, Origin, Refusal, State, World, identity
from curate.vocabulary import LabelNames, Vocabulary

__all__ = [
    "Fact",
    "PublishedRates",
    "fact_of",
    "judge_published",
    "preference_files",
    "print_published",
    "published_rows",
]

LARGEST_BYTES = 64 * 2**20
LABEL_SET = "published"

LEFTOVERS = re.compile(r"[*#`{}\[\]\n]|\b(?:question|answer|note|original|contradict\w*|corrected)\b:?", re.IGNORECASE)
THING = r"(?:the |an? |any |some )?(?P<thing>[a-z][a-z-]+(?: [a-z][a-z-]+){0,2})"
PICTURE = r"(?:this|the) (?:image|picture|scan|slice|radiograph|x-ray|study)"
YES, NO = re.compile(r"^\W*yes\b", re.IGNORECASE), re.compile(r"^\W*no\b", re.IGNORECASE)
PRESENCE = (
    rf"^does {PICTURE} (?:contain|show|include) {THING}\?$",
    rf"^(?:is|are|is/are|are/is) there {THING} (?:in|on|visible in|seen in) {PICTURE}\?$",
    rf"^does {THING} (?:appear|exist) in {PICTURE}\?$",
    rf"^(?:is|are) {THING} (?:present|visible|seen|shown)(?: in {PICTURE})?\?$",
    rf"^(?:can|could) {THING} be (?:seen|observed|identified) (?:in|on) {PICTURE}\?$",
    rf"^does the patient have {THING}\?$",
)
UNCLEAR = re.compile(
    r"\b(?:organs?|abnormalit(?:y|ies)|abnormal|normal|healthy|diseases?|lesions?|that|which|who|kinds?|things?|parts?|"
    r"following|evidence|signs?|more|other|left|right|upper|lower|both|side)\b"
)
"""Words that name nothing by themselves, or a place that the annotation could not hold."""
COUNT = (
    rf"^how many (?P<thing>[a-z][a-z-]+(?: [a-z][a-z-]+)?) (?:are (?:there|shown|visible|seen) )?in {PICTURE}\?$",
    r"^how many (?P<thing>[a-z][a-z-]+(?: [a-z][a-z-]+)?) are (?:there|shown|visible|seen)\?$",
)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ASKED = {
    "modality": re.compile(r"\bmodality\b|^how was this image taken|^what (?:type|kind) of (?:medical )?image", re.I),
    "view": re.compile(r"\b(?:scanning |imaging )?plane\b", re.I),
    "anatomy": re.compile(
        r"^which part of the (?:human )?body (?:does this image belong to|is shown)|^what body part", re.I
    ),
}
IS_IT = {
    "modality": re.compile(
        r"^is this (?:image |picture )?(?:an? |taken (?:via|by|with) )?(?P<value>[a-z0-9 -]+?)\??$", re.I
    ),
    "view": re.compile(r"^is this (?:an? |the )?(?P<value>[a-z]+) (?:plane|section|view|slice)\??$", re.I),
    "anatomy": re.compile(r"^is this a study of the (?P<value>[a-z ]+?)\??$", re.I),
}
CARRIER = re.compile(
    r"\b(?:yes|no|not|the|an?|any|is|are|was|it|this|that|there|in|of|as|also|known|to|be|can|does|do|and|belongs?|shows?|"
    r"shown|shown in|contains?|includes?|included|appears?|exists?|present|presence|visible|seen|observed|taken|using|"
    r"by|via|from|with|pictures?|images?|imaging|scans?|slices?|stud(?:y|ies)|planes?|sections?|views?|modality|weighted)\b|\W",
    re.IGNORECASE,
)
"""What a sentence may hold beside its fact."""
OPTIONS = re.compile(r",\s*(?P<first>[^,?]+(?:,[^,?]+)*?),?\s+or\s+(?P<last>[^,?]+)\?$")


@dataclass(frozen=True, slots=True)
class Fact:
    """What a question and its chosen answer say together: a finding's state, a count, or attributes of the image."""

    kind: str
    asks: dict[str, Any]
    concept: str | None = None
    state: State | None = None
    count: int | None = None
    attributes: tuple[
        tuple[str, str], ...
    ] = ()  # modality, anatomy, view: what is asked about, and what is told beside it


@dataclass(frozen=True)
class PublishedRates:
    """Counts of one file. Kind -> ...; `left_out` had no plain fact, `identical` two answers alike."""

    pairs: int
    left_out: int
    identical: int
    chosen: dict[str, Rate]  # accepted
    with_leftovers: dict[str, Rate]  # accepted, of the chosen answers with remains of their making
    rejected: dict[str, Rate]  # refused
    misses: list[dict[str, str]]

    def as_json(self) -> dict[str, Any]:
        """The counts and rates."""
        rates = {
            name: {
                kind: rate.as_json()
                for kind, rate in [*sorted(table.items()), ("all", sum(table.values(), Rate(0, 0)))]
            }
            for name, table in (
                ("chosen_accepted", self.chosen),
                ("chosen_with_leftovers_accepted", self.with_leftovers),
                ("rejected_refused", self.rejected),
            )
        }
        return {"pairs": self.pairs, "no_plain_fact": self.left_out, "identical": self.identical} | rates


def preference_files(folder: Path) -> Iterator[Path]:
    """Every JSON file below a folder whose first row holds a chosen and a rejected answer about an image."""
    for path in sorted(folder.rglob("*.json*")):
        if path.suffix not in (".json", ".jsonl") or path.stat().st_size > LARGEST_BYTES:
            continue
        first = next(_records(path), None)
        if first is not None and first.shape == "preference" and first.images:
            yield path


def _records(path: Path) -> Iterator[Record]:
    raw = raw_rows(open_document(path))
    if not raw.whole:
        for number, value in raw.rows:
            yield as_record(value, number, f"row {number}")


def _plain(text: str | None) -> str:
    return re.sub(r"\s+", " ", (text or "").replace(IMAGE_TOKEN, " ")).strip()


def _families(attribute: str, text: str) -> list[str]:
    words = load("picture")[attribute]
    return [name for name, family in words.items() if re.search(family["match"], text.lower())]


def _attribute(attribute: str, text: str) -> str | None:
    """The one modality, body part or plane that a text names: the body part in its own words."""
    held = _families(attribute, text)
    if len(held) != 1:
        return None
    if attribute == "anatomy":
        words = re.sub(r"\b(?:the|an?|human|x-?ray|mri|ct|scan)\b|\W", " ", text.lower()).split()
        return " ".join(words) if 0 < len(words) < 3 else None
    return str(load("picture")[attribute][held[0]]["en"][0])


def _told(text: str, concept: str = "") -> tuple[tuple[str, str], ...] | None:
    """The attributes that a text names; null where it says anything else beside them and a concept."""
    found, rest = [], text.lower()
    for attribute in ("modality", "view", "anatomy"):
        held = _families(attribute, rest)
        if len(held) > 1:
            return None
        for name in held:
            names = [re.escape(each) for each in load("picture")[attribute][name]["en"]]
            pattern = re.compile(
                r"\b(?:" + "|".join(sorted(names, key=len, reverse=True)) + r")(?: cavity)?\b", re.IGNORECASE
            )
            said = {each.lower() for each in pattern.findall(rest)}
            if not said or (attribute == "anatomy" and len(said) > 1):
                return None
            value = said.pop() if attribute == "anatomy" else str(load("picture")[attribute][name]["en"][0])
            found.append((attribute, value))
            rest = pattern.sub(" ", rest)
    for word in concept.split():
        rest = re.sub(rf"\b{re.escape(word.rstrip('s'))}(?:s|es)?\b", " ", rest)
    return None if CARRIER.sub("", rest) else tuple(found)


def fact_of(question: str, chosen: str) -> Fact | None:
    """What both say together, or nothing where that is not plain. Marks around the answer are overlooked."""
    answer = re.sub(r"\(?note:.*$", "", re.sub(r"[*#`]", "", chosen), flags=re.IGNORECASE | re.DOTALL).strip(" \n-.")
    yes = True if YES.match(answer) else False if NO.match(answer) else None
    asked = question.lower().strip()
    if yes is not None:
        return _is_it(asked, answer, yes) or _presence(asked, answer, yes)
    return _count(asked, answer) or _named(asked, answer)


def _presence(asked: str, answer: str, yes: bool) -> Fact | None:
    for pattern in PRESENCE:
        match = re.match(pattern, asked)
        if match and not UNCLEAR.search(match["thing"]):
            concept = match["thing"].removesuffix(" in").strip()
            told = _told(answer, concept)
            if told is None or (re.search(r"\bnot\b", answer) and yes):
                return None
            state = State.PRESENT if yes else State.ABSENT
            asks = {"ask": "presence", "concept": concept, "label_set": LABEL_SET}
            return Fact(f"presence, {'yes' if yes else 'no'}", asks, concept=concept, state=state, attributes=told)
    return None


def _is_it(asked: str, answer: str, yes: bool) -> Fact | None:
    for attribute, pattern in IS_IT.items():
        match = pattern.match(asked)
        value = _attribute(attribute, match["value"]) if match else None
        if match is None or value is None or _told(match["value"]) is None:
            continue
        asks = {"ask": "attribute_is", "attribute": attribute}
        denied = rf"\bnot (?:an? |the )?{re.escape(match['value'])}\b"
        told = _told(answer if yes else re.sub(denied, "", answer.lower()))
        known = dict(told or ())
        if told is not None and yes and known.get(attribute, value) == value:
            return Fact(f"{attribute} asked for, yes", asks, attributes=tuple((known | {attribute: value}).items()))
        if told is not None and not yes and known.get(attribute, value) != value:
            return Fact(f"{attribute} asked for, no", asks, attributes=told)
    return None


def _count(asked: str, answer: str) -> Fact | None:
    word = answer.lower()
    number = int(word) if word.isdecimal() and len(word) < 4 else NUMBERS.index(word) if word in NUMBERS else None
    match = next((found for pattern in COUNT if (found := re.match(pattern, asked))), None)
    if number is None or match is None or UNCLEAR.search(match["thing"]):
        return None
    concept = match["thing"].removeprefix("existing ")
    concept = concept[:-1] if concept.endswith("s") and not concept.endswith("ss") else concept
    asks = {"ask": "count", "concept": concept, "label_set": LABEL_SET}
    return Fact("count", asks, concept=concept, count=number)


def _named(asked: str, answer: str) -> Fact | None:
    for attribute, pattern in ASKED.items():
        told = _told(answer) if pattern.search(asked) else None
        if not told or attribute not in dict(told):
            continue
        listed = OPTIONS.search(asked)
        if listed is None:
            return Fact(attribute, {"ask": "attribute", "attribute": attribute}, attributes=told)
        options = [each.strip() for each in [*listed["first"].split(","), listed["last"]]]
        if all(_attribute(attribute, option) for option in options):
            asks = {"ask": "choice", "of": "attribute", "attribute": attribute, "options": options, "letters": False}
            return Fact(f"{attribute} of several", asks, attributes=told)
    return None


def published_rows(path: Path) -> Iterator[tuple[Row | None, str, Record]]:
    """Each pair as a row whose answer is the chosen one, with the rejected answer; null where the fact is not plain."""
    records = [record for record in _records(path) if record.chosen is not None and record.rejected is not None]
    facts = [fact_of(_plain(record.asked), record.chosen or "") for record in records]
    named = sorted({fact.concept for fact in facts if fact and fact.concept})
    vocabulary = {LABEL_SET: LabelNames(tuple(named))}
    for record, fact in zip(records, facts, strict=True):
        yield (_row(path, record, fact, vocabulary) if fact else None), record.rejected or "", record


def _row(path: Path, record: Record, fact: Fact, vocabulary: Vocabulary) -> Row:
    row_id = f"{path.stem}, {record.locator}"
    asset_id = identity("published", row_id)
    known = dict(fact.attributes)
    asset = Asset(
        asset_id=asset_id, source="published", item_key=record.images[0] if record.images else row_id,
        content_sha256=asset_id, image_sha256=asset_id, media_type="image/jpeg", width=512, height=512, channels=1,
        bit_depth=8, labelled_by=[LABEL_SET], modality=known.get("modality"),
        anatomy=known.get("anatomy"), view=known.get("view"),
    )  # fmt: skip
    annotations: tuple[Annotation, ...] = ()
    if fact.concept is not None:
        annotations = (
            Annotation(
                annotation_id=identity("published", row_id, "annotation"), asset_id=asset_id, source="published",
                label_set=LABEL_SET, world=World.OPEN, exhaustive=fact.count is not None,
                kind=Kind.MULTILABEL if fact.count is None else Kind.COUNT, label=fact.concept, concept=fact.concept,
                state=fact.state, value=None if fact.count is None else float(fact.count), annotator=Annotator.HUMAN,
                file=path.name, locator=record.locator,
            ),
        )  # fmt: skip
    draft = Draft(
        draft_id=identity("published", row_id, "draft"), source="published", asset_ids=[asset_id],
        annotation_ids=[each.annotation_id for each in annotations], task="published", variant=0, wording=fact.kind,
        language="en", origin=Origin.LLM, constraints=msgspec.json.encode(fact.asks, order="sorted").decode(),
        messages=[
            Message("user", f"{IMAGE_TOKEN}\n{_plain(record.asked)}"),
            Message("assistant", (record.chosen or "").strip()),
        ],
    )  # fmt: skip
    return Row(row_id, path.stem, fact.kind, draft, (asset,), annotations, vocabulary)


def judge_published(path: Path, judge: Judge) -> PublishedRates:
    """Both answers of every pair whose fact is plain."""
    tables: dict[str, dict[str, Counter[bool]]] = {
        name: defaultdict(Counter) for name in ("chosen", "left", "rejected")
    }
    counted: Counter[str] = Counter()
    misses: list[dict[str, str]] = []
    for row, rejected, record in published_rows(path):
        counted["pairs"] += 1
        if rejected.strip().lower() == (record.chosen or "").strip().lower():
            counted["identical"] += 1
        elif row is None:
            counted["left out"] += 1
        else:
            verdict = judge.verdict(row)
            table = "left" if LEFTOVERS.search(row.answer) else "chosen"
            tables[table][row.kind][verdict is None] += 1
            if verdict is not None and table == "chosen":
                misses.append(_miss(row, row.answer, f"chosen, refused: {_why(verdict)}"))
            verdict = judge.verdict(row, row.draft_with(row.draft.messages[0].content, rejected.strip(), Origin.LLM))
            tables["rejected"][row.kind][isinstance(verdict, Refusal)] += 1
            if not isinstance(verdict, Refusal):
                misses.append(_miss(row, rejected.strip(), "rejected, accepted"))
    rates = {
        name: {kind: Rate(found[True], found.total()) for kind, found in sorted(table.items())}
        for name, table in tables.items()
    }
    return PublishedRates(
        counted["pairs"],
        counted["left out"],
        counted["identical"],
        rates["chosen"],
        rates["left"],
        rates["rejected"],
        misses,
    )


def _why(verdict: Refusal | str) -> str:
    return f"{verdict.reason}: {verdict.detail}" if isinstance(verdict, Refusal) else f"failed with {verdict}"


def _miss(row: Row, answer: str, what: str) -> dict[str, str]:
    return {
        "row": row.row_id,
        "kind": row.kind,
        "what": what,
        "question": row.question,
        "chosen": row.answer,
        "answer": answer,
    }


def print_published(name: str, rates: PublishedRates) -> None:
    """One block per file."""
    used = rates.pairs - rates.left_out - rates.identical
    print(f"\n{name}: {rates.pairs:,} pairs, {used:,} with a plain fact, {rates.identical} of two identical answers")
    for title, table in (
        ("chosen accepted", rates.chosen),
        ("chosen with remains accepted", rates.with_leftovers),
        ("rejected refused", rates.rejected),
    ):
        for kind, rate in [*table.items(), ("all", sum(table.values(), Rate(0, 0)))]:
            print(f"{title:30}{kind:28}{rate}")
