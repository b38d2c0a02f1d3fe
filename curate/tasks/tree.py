"""The lexical tree of questions: clinical task, department, modality, anatomy and perceptual granularity.

Data: `wordings/tree.yaml`, after GMAI-MMBench (arXiv:2408.03361). A level that nothing proves is null. The triple of
Med-MAT (arXiv:2412.20070), modality, area and task, is three of the five levels.
"""

import functools
import importlib.resources
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

import msgspec
import yaml

from curate.rows import Asset
from curate.tasks.english import is_unique, phrase, singular
from curate.tasks.picture import anatomy_phrase, modality_name

__all__ = ["Granularity", "Path", "Role", "Triple", "cue_of", "path_of", "role_of", "task_of", "task_words"]

_FINDINGS = "disease diagnosis"


class Granularity(StrEnum):
    """How much of the image a question is about."""

    IMAGE = "image"
    BOX = "box"


class Path(msgspec.Struct, frozen=True):
    """Where a question stands in the tree; null is unknown."""

    task: str | None
    department: str | None
    modality: str | None
    anatomy: str | None
    granularity: Granularity


class Cue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a task asks for, and by which names its concepts are known. `structure`: anatomy that a body has once."""

    cue: str
    cues: str
    ends: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    structure: bool = False


class _Department(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    concepts: tuple[str, ...]
    anatomy: tuple[str, ...]


class _Tree(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tasks: dict[str, Cue]
    neutral: frozenset[str]
    finding: Cue
    unknown: Cue
    departments: dict[str, _Department]


@functools.cache
def _tree() -> _Tree:
    text = importlib.resources.files(__package__).joinpath("wordings", "tree.yaml").read_text("utf-8")
    raw: Any = yaml.safe_load(text)
    return msgspec.convert(raw, _Tree)


def task_words() -> tuple[str, ...]:
    """Every clinical task of the tree, sorted."""
    return tuple(sorted(_tree().tasks))


def task_of(concepts: Iterable[str]) -> str | None:
    """The one clinical task that all concepts of a label set are of, `normal` and its like aside; else None."""
    found = {_task(concept) for concept in concepts if not _neutral(concept)}
    return found.pop() if len(found) == 1 else None


def _neutral(concept: str) -> bool:
    return not _tree().neutral.isdisjoint(phrase(concept).lower().split())


@functools.lru_cache(maxsize=4096)
def _task(concept: str) -> str | None:
    text = phrase(concept).lower()
    for task, cue in _tree().tasks.items():
        if cue.structure and is_unique(phrase(concept)):
            return task
        for form in (text, singular(text)):
            if form.endswith(cue.ends or ("\0",)) or any(form == n or form.endswith(f" {n}") for n in cue.names):
                return task
    return None


def cue_of(task: str | None, *, finding: bool) -> Cue:
    """What a question of a task asks for; one of several findings is no diagnosis."""
    tree = _tree()
    if finding and task in (None, _FINDINGS):
        return tree.finding
    return tree.tasks.get(task or "", tree.unknown)


def path_of(asset: Asset, task: str | None, concept: str, granularity: Granularity) -> Path:
    """Where a question stands whose answer is a concept."""
    anatomy = anatomy_phrase(asset)
    return Path(task, _department(concept, anatomy), modality_name(asset), anatomy, granularity)


@functools.lru_cache(maxsize=4096)
def _department(concept: str, anatomy: str | None) -> str | None:
    words = {singular(word) for word in re.findall(r"[\w-]+", phrase(concept).lower())}
    departments = _tree().departments
    said = [name for name, one in departments.items() if not words.isdisjoint(one.concepts)]
    if said:
        return said[0] if len(said) == 1 else None
    part = (anatomy or "").lower()
    return next((name for name, one in departments.items() if part in one.anatomy), None)


Triple = tuple[str | None, str | None, str | None]
"""Modality, area (anatomy) and task of Med-MAT."""


class Role(StrEnum):
    """What a row is to a held-out triple in a test of compositional generalisation."""

    TARGET = "target"
    RELATED = "related"
    UNRELATED = "unrelated"
    UNKNOWN = "unknown"


def role_of(triple: Sequence[str | None], target: Sequence[str | None]) -> Role:
    """The role of a row: `related` shares some but not all of modality, area and task with the target.

    Training on related and unrelated rows and testing on the target has no triple in common (zero overlap). A row of
    which a level is unknown might be of the target, so that it belongs to neither side.
    """
    if None in triple:
        return Role.UNKNOWN
    shared = sum(one == other for one, other in zip(triple, target, strict=True))
    if shared == len(target):
        return Role.TARGET
    return Role.RELATED if shared else Role.UNRELATED
