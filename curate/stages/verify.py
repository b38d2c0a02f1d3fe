"""verify: every draft of one bucket against its own annotations; what holds becomes a pair."""

from typing import Any

import pyarrow as pa

from curate import verify
from curate.rows import Draft, Subject, rows_of
from curate.schema import DRAFTS, PAIRS, Unit
from curate.stages.base import Beat, Run, bucket_parts, stage_fingerprint
from curate.stages.draft import digest_of_vocabulary, read_part, read_subjects, vocabulary_of
from curate.store.commit import PartWriter
from curate.store.parquet import iter_tables
from curate.store.part import Part

__all__ = ["VerifyStage"]


class VerifyStage:
    """One part per bucket of a source."""

    name = "verify"
    version = 1
    tables: tuple[str, ...] = ("pairs", "rejects")
    after: tuple[str, ...] = ("scan", "read", "draft")
    isolated = False

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
        return {
            "drafts": drafts.digest("drafts"),
            "assets": sidecar.digest("assets"),
            "annotations": sidecar.digest("annotations"),
            "vocabulary": digest_of_vocabulary(vocabulary_of(run, part.source)),
        }

    def build(self, run: Run, part: Part, writer: PartWriter, beat: Beat) -> dict[str, str]:
        """Check, draft by draft."""
        known = {subject.asset.asset_id: subject for subject in read_subjects(run, part)}
        verifier = verify.Verifier(vocabulary_of(run, part.source))
        files = run.sidecars.need(Part("draft", part.source, part.bucket)).of("drafts")
        for table in iter_tables(run.out, files, DRAFTS):
            pairs: list[dict[str, Any]] = []
            for draft in rows_of(table, Draft):
                about = [known[asset_id] for asset_id in draft.asset_ids]
                beat(about[0].asset.item_key)
                writer.saw(Unit.DRAFT)
                annotations = tuple(annotation for subject in about for annotation in subject.annotations)
                checked = verifier.verify(draft, tuple(subject.asset for subject in about), annotations)
                if checked.refusal is not None:
                    writer.refuse(
                        Unit.DRAFT, about[0].asset.item_key, checked.refusal, locator=f"{draft.task} {draft.draft_id}"
                    )
                    continue
                writer.used(Unit.DRAFT)
                pairs.append(_pair(draft, about, checked.checks))
            writer.write("pairs", pa.Table.from_pylist(pairs, schema=PAIRS))
        return self.inputs(run, part)


def _pair(draft: Draft, about: list[Subject], checks: dict[str, str]) -> dict[str, Any]:
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
        "response_id": None,
        "checks": checks,
        "source_split": "+".join(sorted(splits)) or None,
    }
