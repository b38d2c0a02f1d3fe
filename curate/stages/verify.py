"""verify: every draft of one bucket against its own annotations; what holds becomes a pair."""

from collections.abc import Mapping, Set
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import verify
from curate.rows import Draft, Subject, rows_of
from curate.schema import DRAFTS, PAIRS, RESPONSES, Refusal, Unit
from curate.stages.base import Beat, Run, bucket_parts, stage_fingerprint
from curate.stages.draft import read_part, read_subjects, vocabulary_digest, vocabulary_of
from curate.stages.rewrite import digest_of_responses, rewrite_parts, rewritten
from curate.store.commit import PartWriter
from curate.store.parquet import iter_tables
from curate.store.part import Part

__all__ = ["VerifyStage"]


class VerifyStage:
    """One part per bucket of a source."""

    name = "verify"
    version = 2
    tables: tuple[str, ...] = ("pairs", "rejects")
    after: tuple[str, ...] = ("scan", "read", "draft", "rewrite")

    def parts(self, run: Run) -> list[Part]:
        """The buckets of read."""
        return bucket_parts(run, self.name)

    def fingerprint(self, run: Run, part: Part) -> dict[str, str]:
        """The versions of the rules and the digest of their lexicons."""
        rules: dict[str, Any] = {f"rule.{name}": version for name, version in verify.VERSIONS.items()}
        return stage_fingerprint(self, rules | {"lexicons": verify.lexicons_digest()}, ("pyarrow",))

    def inputs(self, run: Run, part: Part) -> dict[str, str]:
        """The bucket's drafts and the annotations that prove them."""
        sidecar = read_part(run, part)
        drafts = run.sidecars.need(Part("draft", part.source, part.bucket))
        inputs = {
            "drafts": drafts.digest("drafts"),
            "assets": sidecar.digest("assets"),
            "annotations": sidecar.digest("annotations"),
            "vocabulary": vocabulary_digest(run, part.source),
        }
        answered = digest_of_responses(run)
        return inputs | ({} if answered is None else {"responses": answered})

    def build(self, run: Run, part: Part, writer: PartWriter, beat: Beat) -> dict[str, str]:
        """Check, draft by draft."""
        known = {subject.asset.asset_id: subject for subject in read_subjects(run, part)}
        judge = _Judge(run, part, writer)
        files = run.sidecars.need(Part("draft", part.source, part.bucket)).of("drafts")
        for table in iter_tables(run.out, files, DRAFTS):
            answers = _answers(run, {key for key in table.column("request_id").to_pylist() if key is not None})
            pairs: list[dict[str, Any]] = []
            for draft in rows_of(table, Draft):
                about = [known[asset_id] for asset_id in draft.asset_ids]
                beat(about[0].asset.item_key)
                pair = judge.pair(draft, about, answers)
                if pair is not None:
                    pairs.append(pair)
            writer.write("pairs", pa.Table.from_pylist(pairs, schema=PAIRS))
        return self.inputs(run, part)


class _Judge:
    """Judges the drafts of one part: in a model's words where they hold, else in those of the template."""

    def __init__(self, run: Run, part: Part, writer: PartWriter) -> None:
        self._verifier = verify.Verifier(vocabulary_of(run, part.source))
        self._rewrite = run.corpus.recipe.rewrite
        self._writer = writer

    def pair(self, draft: Draft, about: list[Subject], answers: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
        """The pair that a draft becomes, or nothing where even its template does not hold."""
        assets = tuple(subject.asset for subject in about)
        annotations = tuple(annotation for subject in about for annotation in subject.annotations)
        self._writer.saw(Unit.DRAFT)
        answer = answers.get(draft.request_id or "")
        if answer is not None:
            said = self._said(draft, answer)
            checked = None if isinstance(said, Refusal) else self._verifier.verify(said, assets, annotations)
            refusal = said if isinstance(said, Refusal) else checked.refusal if checked is not None else None
            self._writer.saw(Unit.ANSWER)
            if not isinstance(said, Refusal) and checked is not None and refusal is None:
                self._writer.used(Unit.ANSWER)
                self._writer.used(Unit.DRAFT)
                return _pair(said, about, checked.checks, answer["response_id"])
            assert refusal is not None
            self._writer.refuse(Unit.ANSWER, answer["response_id"], refusal, locator=f"{draft.task} {draft.draft_id}")
        checked = self._verifier.verify(draft, assets, annotations)
        if checked.refusal is not None:
            self._writer.refuse(
                Unit.DRAFT, assets[0].item_key, checked.refusal, locator=f"{draft.task} {draft.draft_id}"
            )
            return None
        self._writer.used(Unit.DRAFT)
        return _pair(draft, about, checked.checks, None)

    def _said(self, draft: Draft, answer: dict[str, Any]) -> Draft | Refusal:
        assert self._rewrite is not None
        return rewritten(
            draft, answer["text"], answer["finish_reason"] or "", self._rewrite.mode, self._rewrite.language
        )


def _answers(run: Run, request_ids: Set[str]) -> dict[str, dict[str, Any]]:
    """Request -> its accepted answer, of those asked for."""
    found: dict[str, dict[str, Any]] = {}
    if not request_ids:
        return found
    wanted = pa.array(sorted(request_ids), pa.string())
    columns = ("request_id", "response_id", "text", "finish_reason", "verdict")
    for part in rewrite_parts(run):
        for table in iter_tables(run.out, run.sidecars.need(part).of("responses"), RESPONSES, columns):
            fits = pc.and_(
                pc.equal(table.column("verdict"), "accepted"),
                pc.is_in(table.column("request_id"), value_set=wanted),
            )
            found |= {row["request_id"]: row for row in table.filter(fits).to_pylist()}
    return found


def _pair(draft: Draft, about: list[Subject], checks: dict[str, str], response_id: str | None) -> dict[str, Any]:
    named = set(draft.annotation_ids)
    rests_on = [
        annotation for subject in about for annotation in subject.annotations if annotation.annotation_id in named
    ]
    splits = {annotation.source_split for annotation in rests_on if annotation.source_split is not None}
    splits = splits or {subject.asset.source_split for subject in about if subject.asset.source_split is not None}
    return {
        "pair_id": draft.draft_id,
        "source": draft.source,
        "asset_ids": draft.asset_ids,
        "annotation_ids": draft.annotation_ids,
        "task": draft.task,
        "variant": draft.variant,
        "wording": draft.wording,
        "language": draft.language,
        "origin": str(draft.origin),
        "messages": [{"role": message.role, "content": message.content} for message in draft.messages],
        "request_id": draft.request_id,
        "response_id": response_id,
        "checks": checks,
        "source_split": "+".join(sorted(splits)) or None,
    }
