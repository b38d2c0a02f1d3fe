"""rewrite: one bucket of distinct requests answered and judged, asked once more where that failed, and frozen."""

import atexit
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa

from curate import verify
from curate.language.base import (
    Answer,
    Completer,
    CompleterError,
    Failure,
    Outcome,
    Request,
    Trouble,
    UnansweredError,
)
from curate.language.completers import completer_class, options_of
from curate.language.requests import images_of
from curate.language.rewriting import read_answer, repair_request
from curate.rows import Brief, Draft, Message, Witness
from curate.schema import REQUESTS, RESPONSES, Identity, Origin, Reason, Refusal, Unit, identity
from curate.stages.asking import SLICES, config_of
from curate.stages.base import Beat, Run, bucket_parts, digest_of, stage_fingerprint
from curate.stages.draft import vocabulary_digest, vocabulary_of
from curate.stages.pictures import Pictures
from curate.store.answers import StoredAnswer
from curate.store.commit import PartWriter
from curate.store.parquet import Range, iter_tables
from curate.store.part import WHOLE, Part, Sidecar
from curate.tasks.wording import IMAGE_TOKEN

__all__ = [
    "REQUESTS_PER_PART",
    "RewriteStage",
    "digest_of_responses",
    "outlook",
    "parts_for",
    "rewrite_parts",
    "rewritten",
]

REQUESTS_PER_PART: Final = 8192
"""About so many requests are one part: a tail of unfinished ones is short beside it, and a lost part is minutes."""

_SYNC_EVERY: Final = 64
"""Answers between two syncs of the store to the disk; a killed process loses none of them either way."""

_ID_DIGITS: Final = 8
"""So many digits of its id decide which part a request is in."""

_REASONS: Final = {
    Trouble.MODEL_REFUSED: Reason.MODEL_REFUSED,
    Trouble.REQUEST_TOO_LONG: Reason.REQUEST_TOO_LONG,
}


class RewriteStage:
    """Parts of the whole corpus, by the first digits of their requests' ids; none where the recipe rewrites nothing."""

    name = "rewrite"
    version = 1
    tables: tuple[str, ...] = ("responses", "rejects")
    after: tuple[str, ...] = ("scan", "read", "draft")

    def parts(self, run: Run) -> list[Part]:
        """A power of two of parts, so that each holds about `REQUESTS_PER_PART`."""
        return rewrite_parts(run)

    def fingerprint(self, run: Run, part: Part) -> dict[str, str]:
        """How many parts share the requests, the rules that judge the answers, and the words of a repair."""
        rules: dict[str, Any] = {f"rule.{name}": version for name, version in verify.VERSIONS.items()}
        config = {"parts": len(self.parts(run)), "lexicons": verify.lexicons_digest()} | config_of(run)
        return stage_fingerprint(self, rules | config, ("pyarrow",))

    def inputs(self, run: Run, part: Part) -> dict[str, str]:
        """The bucket's requests, by slices of their ids, and the vocabularies that their answers are judged by."""
        slices = _slices(part, len(self.parts(run)))
        named = [vocabulary_digest(run, source) for source in sorted(s.id for s in run.corpus.sources)]
        return {"requests": _digests_of_requests(run)[slices], "vocabulary": identity(*named)}

    def build(self, run: Run, part: Part, writer: PartWriter, beat: Beat) -> dict[str, str]:
        """Ask, judge, ask once more, and write what came of it.

        Raises:
            UnansweredError: a request got no answer that would stay; what was answered is in the store.
        """
        requests = _requests_of(run, part, len(self.parts(run)))
        desk = _Desk(run, requests, beat)
        rows = desk.work()
        desk.close()
        _count(writer, requests, rows)
        rows.sort(key=lambda row: (row["request_id"], row["attempt"]))
        writer.write("responses", pa.Table.from_pylist(rows, schema=RESPONSES))
        return self.inputs(run, part)


def rewrite_parts(run: Run) -> list[Part]:
    """The parts that share the requests of the corpus."""
    if run.corpus.recipe.rewrite is None:
        return []
    count = run.sidecars.derived("rewrite parts", lambda: parts_for(_drafted(run)))
    return [Part("rewrite", WHOLE, bucket) for bucket in range(count)]


def digest_of_responses(run: Run) -> str | None:
    """One digest over all answers; null where nobody was asked."""

    def digest() -> str | None:
        answered = [run.sidecars.need(part).digest("responses") for part in rewrite_parts(run)]
        return digest_of(answered) if answered else None

    return run.sidecars.derived("digest of responses", digest)


def parts_for(drafted: Iterable[Sidecar]) -> int:
    """How many parts share the requests of all draft parts: a power of two."""
    total = sum(sidecar.emitted.get("requests", 0) for sidecar in drafted)
    return 1 << max(0, math.ceil(math.log2(max(total, 1) / REQUESTS_PER_PART)))


def _drafted(run: Run) -> Iterator[Sidecar]:
    return (run.sidecars.need(part) for part in bucket_parts(run, "draft"))


def _digests_of_requests(run: Run) -> dict[tuple[str, ...], str]:
    """Slices that a part may have -> the digest of all requests within, taken in one pass over the draft parts."""

    def digests() -> dict[tuple[str, ...], str]:
        parts = rewrite_parts(run)
        open_digests = {_slices(part, len(parts)): Identity() for part in parts}
        for sidecar in _drafted(run):
            asked, name = sidecar.statistics.get("requests", {}), str(sidecar.part)
            for slices, digest in open_digests.items():
                for digit in slices:
                    digest.add((name, digit, asked.get(digit)))
        return {slices: digest.hexdigest() for slices, digest in open_digests.items()}

    return run.sidecars.derived("digests of requests", digests)


def _slices(part: Part, parts: int) -> tuple[str, ...]:
    """The first digits of the ids of a part's requests."""
    bucket = part.bucket or 0
    first = bucket * SLICES // parts
    last = max(first + 1, (bucket + 1) * SLICES // parts)
    return tuple(f"{digit:x}" for digit in range(first, last))


def _ids_of(part: Part, parts: int) -> Range:
    """The ids of a part's requests: of a power of two of parts, each has the next ones."""
    bucket, step = part.bucket or 0, 16**_ID_DIGITS // parts
    below = f"{(bucket + 1) * step:0{_ID_DIGITS}x}" if bucket + 1 < parts else None
    return Range("request_id", f"{bucket * step:0{_ID_DIGITS}x}", below)


def outlook(run: Run) -> tuple[int, int]:
    """How many distinct first requests the committed drafts make, and how many of them have an answer in the store."""
    ids: set[str] = set()
    for sidecar in _drafted(run):
        for table in iter_tables(run.out, sidecar.of("requests"), REQUESTS, ("request_id",)):
            ids.update(table.column("request_id").to_pylist())
    store = run.answer_store()
    return len(ids), len(ids) - len(store.missing(ids))


@dataclass(frozen=True, slots=True)
class _Picture:
    """The image that goes along with a request: its digest, its type, and the part that stored it."""

    sha256: str
    media_type: str
    asset_id: str
    part: Part


@dataclass(frozen=True, slots=True)
class _Asked:
    """A distinct request with what its answers are judged by."""

    request: Request
    drafts: int
    witness: str  # JSON of `rows.Witness`: ten times as large as an object, so only for as long as it is needed
    picture: _Picture | None


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A request on its way: the first one of an `_Asked`, or its repair."""

    request: Request
    of: _Asked
    attempt: Literal[1, 2]


class _Tray:
    """What is to be asked: an iterator that has more again when the judge of an answer has put a repair in.

    So the engine never runs dry between the first answers and the repairs: it looks again whenever it has room.
    """

    def __init__(self) -> None:
        self._sheets: deque[_Sheet] = deque()

    def put(self, sheet: _Sheet) -> None:
        self._sheets.append(sheet)

    def sort(self, place: Callable[[Request], Any]) -> None:
        self._sheets = deque(sorted(self._sheets, key=lambda sheet: place(sheet.request)))

    def __len__(self) -> int:
        return len(self._sheets)

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        if not self._sheets:
            raise StopIteration
        return self._sheets.popleft().request


def _requests_of(run: Run, part: Part, parts: int) -> dict[str, _Asked]:
    """The distinct requests of a part; of several witnesses the one with the smallest draft."""
    rows: dict[str, tuple[dict[str, Any], Part]] = {}
    drafts: Counter[str] = Counter()
    digits, within = set(_slices(part, parts)), _ids_of(part, parts)
    for sidecar in _drafted(run):
        if digits.isdisjoint(sidecar.statistics.get("requests", {})):
            continue
        home = Part("read", sidecar.source, sidecar.bucket)
        for table in iter_tables(run.out, sidecar.of("requests"), REQUESTS, within=within):
            for row in table.to_pylist():
                key = row["request_id"]
                drafts[key] += row["drafts"]
                if key not in rows or row["draft_id"] < rows[key][0]["draft_id"]:
                    rows[key] = (row, home)
    return {key: _asked(*rows[key], drafts[key]) for key in sorted(rows)}


def _asked(row: dict[str, Any], home: Part, drafts: int) -> _Asked:
    picture = None
    if row["image_sha256"] is not None:
        picture = _Picture(row["image_sha256"], row["image_media_type"], row["image_asset_id"], home)
    return _Asked(Request(row["request_id"], row["body"].encode()), drafts, row["witness"], picture)


def rewritten(draft: Draft, text: str, finish_reason: str, mode: str, language: str) -> Draft | Refusal:
    """A draft in the words of a model, or why its answer has none."""
    written = read_answer(text, finish_reason, msgspec.json.decode(draft.brief or "", type=Brief), mode, language)
    if isinstance(written, Refusal):
        return written
    messages = [
        Message("user", IMAGE_TOKEN * len(draft.asset_ids) + written.question),
        Message("assistant", written.answer),
    ]
    return msgspec.structs.replace(draft, messages=messages, origin=Origin.LLM, language=language)


class _Desk:
    """Where requests go out and answers are judged: one part's work with the store and the engine of this process."""

    def __init__(self, run: Run, requests: dict[str, _Asked], beat: Beat) -> None:
        rewrite, pack = run.corpus.recipe.rewrite, run.corpus.pack
        assert rewrite is not None and pack is not None
        self._run = run
        self._rewrite = rewrite
        self._pack = pack
        self._beat = beat
        self._store = run.answer_store()
        seen = {asked.picture.sha256: asked.picture for asked in requests.values() if asked.picture is not None}
        self._has_pictures = bool(seen)
        self._pictures = Pictures(
            run,
            {sha256: (picture.part, picture.asset_id) for sha256, picture in seen.items()},
            {sha256: picture.media_type for sha256, picture in seen.items()},
        )
        self._verifiers: dict[str, verify.Verifier] = {}
        self._requests = requests
        self._tray = _Tray()
        self._open: dict[str, _Sheet] = {}  # what waits for an answer, by the id of the request
        self._rows: list[dict[str, Any]] = []
        self._troubles: Counter[Trouble] = Counter()
        self._detail = ""

    def work(self) -> list[dict[str, Any]]:
        """Every request with its answers: those of the store first, the others as they come and are stored."""
        for asked in self._requests.values():
            self._ask(_Sheet(asked.request, asked, 1))
        if self._has_pictures:
            self._tray.sort(self._place)
        while self._open:
            self._answer()
        return self._rows

    def _ask(self, sheet: _Sheet) -> None:
        """Judge the stored answer, or put the request into the tray."""
        stored = self._store.get(sheet.request.request_id)
        if stored is None:
            self._open[sheet.request.request_id] = sheet
            self._tray.put(sheet)
        else:
            self._judge(sheet, stored)

    def _answer(self) -> None:
        """What the engine says now to all that is open, and to the repairs that come of it. Trouble is only counted."""
        name = self._rewrite.completer.name
        where = str(completer_class(name).place(self._options()))
        stored = 0
        for outcome in self._engine().complete(self._tray, self._pictures.get):
            sheet = self._open.pop(outcome.request_id, None)
            if sheet is None:
                raise CompleterError(f"the completer {name} answered what it was not asked, or twice; it has a fault")
            kept = _kept(outcome, where)
            if kept is None:
                assert isinstance(outcome, Failure)
                self._troubles[outcome.trouble] += 1
                self._detail = self._detail or outcome.detail
                continue
            stored += 1
            self._store.add([kept], sync=stored % _SYNC_EVERY == 0)
            first = self._store.get(kept.request_id)  # somebody else's, where theirs was stored before
            self._beat(kept.request_id)
            self._judge(sheet, first or kept)
        if stored % _SYNC_EVERY:
            self._store.add([])
        if len(self._open) > len(self._tray):
            silent = len(self._open) - len(self._tray)
            raise CompleterError(f"the completer {name} said nothing of {silent:,} requests; it has a fault")

    def _place(self, asked: Request) -> Any:
        """Where a request's images lie, so that each group of a file is read once."""
        return [self._pictures.place(sha256) for sha256 in images_of(msgspec.json.decode(asked.body))]

    def _engine(self) -> Completer:
        """The engine of this process, started when it is first needed."""
        name = self._rewrite.completer.name
        if name not in self._run.engines:
            engine = completer_class(name)(self._rewrite.model, self._rewrite.revision, self._options())
            atexit.register(engine.close)
            self._run.engines[name] = engine
        return self._run.engines[name]

    def _options(self) -> Any:
        return options_of(self._rewrite.completer.name, self._rewrite.completer.options)

    def _judge(self, sheet: _Sheet, answer: StoredAnswer) -> None:
        """The row of an answer; a first one that is refused is asked about once more."""
        of, problem = sheet.of, self._problem(sheet.of, answer)
        self._rows.append(
            {
                "request_id": of.request.request_id,
                "attempt": sheet.attempt,
                "response_id": sheet.request.request_id,
                "text": answer.text,
                "finish_reason": answer.finish_reason,
                "prompt_tokens": answer.prompt_tokens,
                "completion_tokens": answer.completion_tokens,
                "model": answer.model,
                "engine": answer.engine,
                "where": answer.where,
                "verdict": "accepted" if problem is None else "refused",
                "reason": None if problem is None else str(problem.reason),
                "detail": None if problem is None else problem.detail,
            }
        )
        if problem is not None and sheet.attempt == 1 and answer.text is not None:
            self._ask(_Sheet(repair_request(of.request, answer.text, problem, self._pack), of, 2))

    def _problem(self, of: _Asked, answer: StoredAnswer) -> Refusal | None:
        if answer.text is None:
            return Refusal(_REASONS[Trouble(answer.trouble or "")], answer.detail)
        witness = msgspec.json.decode(of.witness, type=Witness)
        draft = rewritten(
            witness.draft, answer.text, answer.finish_reason or "", self._rewrite.mode, self._rewrite.language
        )
        if isinstance(draft, Refusal):
            return draft
        refusal = self._refusal(draft, witness)
        if refusal is not None and self._rewrite.mode == "slots" and self._refusal(witness.draft, witness) is not None:
            return None  # of this draft not even the template holds: it proves nothing against what serves all others
        return refusal

    def _refusal(self, draft: Draft, witness: Witness) -> Refusal | None:
        return self._verifier(draft.source).verify(draft, witness.assets, witness.annotations).refusal

    def _verifier(self, source: str) -> verify.Verifier:
        if source not in self._verifiers:
            self._verifiers[source] = verify.Verifier(vocabulary_of(self._run, source))
        return self._verifiers[source]

    def close(self) -> None:
        """Say so where the part cannot be built this time.

        Raises:
            UnansweredError: a request got no answer that would stay.
        """
        if self._troubles:
            raise UnansweredError(self._troubles, self._detail)


def _kept(outcome: Outcome, where: str) -> StoredAnswer | None:
    """What the store keeps of an outcome; null where asking again may help."""
    if isinstance(outcome, Answer):
        return StoredAnswer(
            request_id=outcome.request_id,
            text=outcome.text,
            finish_reason=outcome.finish_reason,
            prompt_tokens=outcome.prompt_tokens,
            completion_tokens=outcome.completion_tokens,
            model=outcome.model,
            engine=outcome.engine,
            where=where,
        )
    if not outcome.trouble.is_definitive:
        return None
    return StoredAnswer(request_id=outcome.request_id, trouble=str(outcome.trouble), detail=outcome.detail, where=where)


def _count(writer: PartWriter, requests: dict[str, _Asked], rows: list[dict[str, Any]]) -> None:
    """The ledger: every answer, and what became of every request."""
    last: dict[str, dict[str, Any]] = {}
    for row in rows:
        last[row["request_id"]] = row if row["attempt"] == 2 else last.get(row["request_id"], row)
        writer.saw(Unit.ANSWER)
        if row["verdict"] == "accepted":
            writer.used(Unit.ANSWER)
    for row in sorted(rows, key=lambda row: (row["request_id"], row["attempt"])):
        if row["verdict"] == "refused":
            refusal = Refusal(Reason(row["reason"]), row["detail"] or "")
            writer.refuse(Unit.ANSWER, row["request_id"], refusal, locator=f"attempt {row['attempt']}")
    for key in requests:
        writer.saw(Unit.REQUEST)
        if last[key]["verdict"] == "accepted":
            writer.used(Unit.REQUEST)
        else:
            writer.refuse(Unit.REQUEST, key, Refusal(Reason(last[key]["reason"]), last[key]["detail"] or ""))
    accepted = [key for key in requests if last[key]["verdict"] == "accepted"]
    writer.statistics = {
        "drafts": sum(asked.drafts for asked in requests.values()),
        "drafts_served": sum(requests[key].drafts for key in accepted),
        "requests": len(requests),
        "answers": len(rows),
        "prompt_tokens": sum(row["prompt_tokens"] or 0 for row in rows),
        "completion_tokens": sum(row["completion_tokens"] or 0 for row in rows),
    }
