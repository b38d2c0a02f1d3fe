"""Reviewed wordings: which template speaks is chosen by a hash, so that a rebuild gives the same text.

A file below `wordings/` holds, per question that its task can put, a list of what the user asks and a list of what the
assistant tells. A wording is one of each; every variant of one draft is another wording, and where the wordings are
used up there is no further variant.
"""

import functools
import importlib.resources
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import yaml

from curate.dicom_names import table_text
from curate.rows import Annotation, Asset, Brief, Draft, Message
from curate.schema import Origin, identity
from curate.tasks.english import capitalised
from curate.tasks.picture import called

__all__ = [
    "IMAGE_TOKEN",
    "Exchange",
    "Said",
    "Wordings",
    "drafts",
    "filled",
    "hash_of",
    "load",
    "sentences_of",
    "wordings_digest",
]

IMAGE_TOKEN = "<image>\n"  # noqa: S105
_HASH_DIGITS = 16
_IMAGE = re.compile(r"\bimage\b")
_SLOT = re.compile(r"\{(\w+)\}")
_FIXED = frozenset({"boxes", "points", "region", "form", "frame", "options", "letter"})
"""Slots that hold coordinates and their form, or the lines of a choice: no rewriter ever sees or writes them."""


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wordings of one question: any `ask` goes with any `tell`."""

    ask: tuple[str, ...]
    tell: tuple[str, ...]


Wordings = Mapping[str, Exchange]


@functools.cache
def load(task: str) -> Wordings:
    """The wordings of a task by question."""
    return msgspec.convert(_yaml(task), dict[str, Exchange])


@functools.cache
def sentences_of(kind: str) -> tuple[str, ...]:
    """The sentences of a caption that say one kind of thing: present, absent, uncertain, ..."""
    return msgspec.convert(_yaml("sentences"), dict[str, tuple[str, ...]])[kind]


@functools.cache
def wordings_digest() -> str:
    """One digest over every word list and wording: part of the fingerprint of whatever drafts."""
    folder = importlib.resources.files(__package__).joinpath("wordings")
    files = sorted((file.name, file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".yaml"))
    return identity(*itertools.chain.from_iterable(files), table_text())


def _yaml(name: str) -> Any:
    return yaml.safe_load(
        importlib.resources.files(__package__).joinpath("wordings", f"{name}.yaml").read_text("utf-8")
    )


def hash_of(*fields: object) -> int:
    """A number that only depends on the fields: the seed of every choice."""
    return int(identity(*fields)[:_HASH_DIGITS], 16)


@dataclass(frozen=True, slots=True)
class Said:
    """What one draft says, before it is worded.

    `aspect` keeps apart the questions that one set of annotations gives; `words` fill the templates; `constraints` tell
    what was asked, never what is true. `plain` replaces words whose wording a hash of the asset chose by their first
    wording, so that equal annotations have equal briefs.
    """

    aspect: str
    exchange: str
    words: Mapping[str, str]
    annotations: Sequence[Annotation]
    constraints: Mapping[str, Any]
    plain: Mapping[str, str] = field(default_factory=dict)
    zh: Mapping[str, str] = field(default_factory=dict)  # words that code fills into a Chinese rendering


def drafts(task: str, version: int, about: Asset | Sequence[Asset], said: Said, variants: int) -> Iterator[Draft]:
    """The differently worded drafts of one question about an asset, or about several in order; at most `variants`."""
    assets = [about] if isinstance(about, Asset) else list(about)
    asset_ids = [asset.asset_id for asset in assets]
    annotation_ids = sorted(annotation.annotation_id for annotation in said.annotations)
    key = (f"{task}:{said.aspect}", ",".join(asset_ids), ",".join(annotation_ids))
    exchange = load(task)[said.exchange]
    n_ask, n_tell = len(exchange.ask), len(exchange.tell)
    start = hash_of(*key, "wording")
    step = _stride(n_ask * n_tell)
    constraints = msgspec.json.encode(said.constraints, order="deterministic").decode()
    thing = called(assets[0])
    brief = msgspec.json.encode(_brief(exchange, said, thing), order="deterministic").decode()
    for variant in range(min(variants, n_ask * n_tell)):
        ask, tell = divmod((start + variant * step) % (n_ask * n_tell), n_tell)
        yield Draft(
            draft_id=identity(*key, variant),
            source=assets[0].source,
            asset_ids=asset_ids,
            annotation_ids=annotation_ids,
            task=task,
            variant=variant,
            wording=f"{task}@{version}/{said.exchange}/{ask}.{tell}",
            language="en",
            origin=Origin.TEMPLATE,
            messages=[
                Message("user", IMAGE_TOKEN * len(assets) + filled(exchange.ask[ask], said.words, thing)),
                Message("assistant", filled(exchange.tell[tell], said.words, thing)),
            ],
            constraints=constraints,
            brief=brief,
        )


def _brief(exchange: Exchange, said: Said, thing: str) -> Brief:
    """The first wording of an exchange, its slots still open."""
    words = {**said.words, **said.plain}
    question, answer = (_IMAGE.sub(thing, template) for template in (exchange.ask[0], exchange.tell[0]))
    names = sorted({*_SLOT.findall(question), *_SLOT.findall(answer)})
    return Brief(
        question, answer, {name: words[name] for name in names}, tuple(n for n in names if n in _FIXED), dict(said.zh)
    )


def filled(template: str, words: Mapping[str, str], thing: str) -> str:
    """A template as it is read: with its words, a capital at the beginning, and `thing` where it says `image`."""
    return capitalised(_IMAGE.sub(thing, template).format_map(words))


@functools.cache
def _stride(total: int) -> int:
    """A step that meets every wording once and changes question and answer at each variant."""
    step = max(1, round(total * 0.618))
    while math.gcd(step, total) != 1:
        step += 1
    return step
