"""Captions in Chinese: the sentences of `label_caption`, of the same findings, in its order."""

from collections.abc import Callable, Iterator, Sequence

from curate.rows import Annotation, Asset
from curate.tasks.chinese import bare_in_chinese, joined_in_chinese, measured_in_chinese, picture_in_chinese, term
from curate.tasks.facts import Finding
from curate.tasks.picture import called
from curate.tasks.statements import grade_value, is_structure, reads_as_label
from curate.tasks.wording import filled_in_chinese, hash_of, sentences_of

__all__ = ["caption_in_chinese"]


def caption_in_chinese(
    asset: Asset,
    present: Sequence[Finding],
    uncertain: Sequence[Finding],
    absent: Sequence[Finding],
    grades: Sequence[Annotation],
) -> dict[str, str]:
    """The words of a caption; which sentence says a kind of thing is chosen by a hash of the asset.

    Raises:
        NoTermError: something of it has no reviewed Chinese name, so that the caption would leave it out.
    """
    measure = measured_in_chinese(asset)
    told = "".join(_sentences(asset, present, uncertain, absent, grades))
    return {**picture_in_chinese(asset, without=frozenset()), "measure": measure, "findings": told}


def _sentences(
    asset: Asset,
    present: Sequence[Finding],
    uncertain: Sequence[Finding],
    absent: Sequence[Finding],
    grades: Sequence[Annotation],
) -> Iterator[str]:
    kinds: tuple[tuple[str, Sequence[Finding], Callable[[Finding], bool], str], ...] = (
        ("label", present, reads_as_label, "和"),
        ("present", present, lambda finding: not reads_as_label(finding), "和"),
        ("uncertain", uncertain, lambda _: True, "和"),
        ("unseen", absent, is_structure, "和"),
        ("absent", absent, lambda finding: not is_structure(finding), "或"),
    )
    for kind, findings, belongs, word in kinds:
        names = [bare_in_chinese(finding) for finding in findings if belongs(finding)]
        if names:
            yield _sentence(asset, kind, {"things": joined_in_chinese(names, word)})
    for grade in grades:
        value = grade_value(grade) or ""
        said = value if grade.value is not None else term(value)
        yield _sentence(asset, "grade", {"name": term(grade.concept or ""), "value": said})


def _sentence(asset: Asset, kind: str, words: dict[str, str]) -> str:
    pool = sentences_of(kind, "zh")
    return filled_in_chinese(pool[hash_of(asset.asset_id, kind) % len(pool)], words, called(asset))
