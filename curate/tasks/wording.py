"""Reviewed wordings: which template speaks is chosen by a hash, so that a rebuild gives the same text.

A file below `wordings/` holds, per question that its task can put, a list of what the user asks and a list of what the
assistant tells. A wording is one of each; every variant of one draft is another wording, and where the wordings are
used up there is no further variant. `wordings/zh/` holds the same questions in Chinese: drafts of one thing in two
languages share their annotations and constraints, and each has an id of its own.
"""

import functools
import importlib.resources
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any, ClassVar, Protocol

import msgspec
import yaml

from curate.dicom_names import table_text
from curate.rows import Annotation, Asset, Brief, Draft, Message
from curate.schema import Origin, Reason, Refusal, Verdict, identity
from curate.tasks.base import ENGLISH, Language, SpokenOptions, TaskOptions
from curate.tasks.chinese import NoTermError, called_in_chinese
from curate.tasks.english import capitalised
from curate.tasks.picture import called

__all__ = [
    "IMAGE_TOKEN",
    "Exchange",
    "Said",
    "Wordings",
    "drafts",
    "filled",
    "filled_in_chinese",
    "hash_of",
    "load",
    "sentences_of",
    "stride",
    "wordings_digest",
]

IMAGE_TOKEN = "<image>\n"  # noqa: S105
_HASH_DIGITS = 16
_IMAGE = re.compile(r"\bimage\b")
_IMAGE_ZH = "图像"
_SLOT = re.compile(r"\{(\w+)\}")
_FIXED = frozenset(
    {
        "boxes",
        "points",
        "region",
        "form",
        "frame",
        "options",
        "letter",
        "measured",
        "knowledge",
        "definition",
        "prompts",
    }
)
"""Slots of coordinates and their form, choices, measured values, reviewed sentences, lists of prompts: no model sees or
writes them."""


class Exchange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wordings of one question: any `ask` goes with any `tell`."""

    ask: tuple[str, ...]
    tell: tuple[str, ...]


Wordings = Mapping[str, Exchange]


@functools.cache
def load(task: str, language: Language = ENGLISH) -> Wordings:
    """The wordings of a task by question."""
    return msgspec.convert(_yaml(task, language), dict[str, Exchange])


@functools.cache
def sentences_of(kind: str, language: Language = ENGLISH) -> tuple[str, ...]:
    """The sentences of a caption that say one kind of thing: present, absent, uncertain, ..."""
    return msgspec.convert(_yaml("sentences", language), dict[str, tuple[str, ...]])[kind]


@functools.cache
def wordings_digest() -> str:
    """One digest over every word list and wording: part of the fingerprint of whatever drafts."""
    folder = importlib.resources.files(__package__).joinpath("wordings")
    files = sorted((name, file.read_text("utf-8")) for name, file in _files(folder, ""))
    return identity(*itertools.chain.from_iterable(files), table_text())


def _files(folder: Traversable, below: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{below}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield below + entry.name, entry


def _yaml(name: str, language: Language) -> Any:
    folder = ("wordings",) if language == ENGLISH else ("wordings", language)
    return yaml.safe_load(importlib.resources.files(__package__).joinpath(*folder, f"{name}.yaml").read_text("utf-8"))


def hash_of(*fields: object) -> int:
    """A number that only depends on the fields: the seed of every choice."""
    return int(identity(*fields)[:_HASH_DIGITS], 16)


@dataclass(frozen=True, slots=True)
class Said:
    """What one draft says, before it is worded.

    `aspect` keeps apart the questions that one set of annotations gives; `words` fill the templates; `constraints` tell
    what was asked, never what is true. `plain` replaces words whose wording a hash of the asset chose by their first
    wording, so that equal annotations have equal briefs. `chinese` gives the words of a Chinese draft, and raises
    `NoTermError` where one of them has no Chinese name.
    """

    aspect: str
    exchange: str
    words: Mapping[str, str]
    annotations: Sequence[Annotation]
    constraints: Mapping[str, Any]
    plain: Mapping[str, str] = field(default_factory=dict)
    zh: Mapping[str, str] = field(default_factory=dict)  # words that code fills into a Chinese rendering
    chinese: Callable[[], Mapping[str, str]] | None = None


class Drafting(Protocol):
    """What of a task its drafts rest on."""

    name: ClassVar[str]
    version: ClassVar[int]

    @property
    def options(self) -> TaskOptions:
        """`variants`, and the `languages` of one that speaks several."""
        ...


def drafts(task: Drafting, about: Asset | Sequence[Asset], said: Said) -> Iterator[Draft | Refusal]:
    """The differently worded drafts of one question about an asset, or about several in order.

    At most `variants` in each language; one `Refusal` instead where a name is missing in it.
    """
    assets = [about] if isinstance(about, Asset) else list(about)
    for language in task.options.languages if isinstance(task.options, SpokenOptions) else (ENGLISH,):
        try:
            words = said.words if language == ENGLISH else _in_chinese(said)
        except NoTermError as missing:
            yield Refusal(Reason.NO_TERM, f"no {language} name is reviewed for {missing}", Verdict.FILTERED)
        else:
            yield from _worded(task, assets, said, language=language, words=words)


def _in_chinese(said: Said) -> Mapping[str, str]:
    if said.chinese is None:
        raise NoTermError(said.exchange)
    return said.chinese()


def _worded(
    task: Drafting,
    assets: Sequence[Asset],
    said: Said,
    *,
    language: Language,
    words: Mapping[str, str],
) -> Iterator[Draft]:
    asset_ids = [asset.asset_id for asset in assets]
    annotation_ids = sorted(annotation.annotation_id for annotation in said.annotations)
    english = language == ENGLISH
    key = (f"{task.name}:{said.aspect}", ",".join(asset_ids), ",".join(annotation_ids))
    exchange = load(task.name, language)[said.exchange]
    n_ask, n_tell = len(exchange.ask), len(exchange.tell)
    start = hash_of(*key, "wording")
    step = stride(n_ask * n_tell)
    constraints = msgspec.json.encode(said.constraints, order="deterministic").decode()
    thing = called(assets[0])
    fill = filled if english else filled_in_chinese
    open_ = _brief(exchange, said, thing) if english else _brief_in_chinese(exchange, said, thing, words)
    brief = msgspec.json.encode(open_, order="deterministic").decode()
    for variant in range(min(task.options.variants, n_ask * n_tell)):
        ask, tell = divmod((start + variant * step) % (n_ask * n_tell), n_tell)
        yield Draft(
            draft_id=identity(*key, variant) if english else identity(*key, variant, language),
            source=assets[0].source,
            asset_ids=asset_ids,
            annotation_ids=annotation_ids,
            task=task.name,
            variant=variant,
            wording=f"{task.name}@{task.version}/{'' if english else language + '/'}{said.exchange}/{ask}.{tell}",
            language=language,
            origin=Origin.TEMPLATE,
            messages=[
                Message("user", IMAGE_TOKEN * len(assets) + fill(exchange.ask[ask], words, thing)),
                Message("assistant", fill(exchange.tell[tell], words, thing)),
            ],
            constraints=constraints,
            brief=brief,
        )


def _brief(exchange: Exchange, said: Said, thing: str) -> Brief:
    """The first wording of an exchange, its slots still open."""
    question, answer = (_IMAGE.sub(thing, template) for template in (exchange.ask[0], exchange.tell[0]))
    return _open(question, answer, {**said.words, **said.plain}, said.zh)


def _brief_in_chinese(exchange: Exchange, said: Said, thing: str, words: Mapping[str, str]) -> Brief:
    """The same of a Chinese wording. Nobody rewrites it; publishers look up its coordinates."""
    name = called_in_chinese(thing)
    question, answer = (template.replace(_IMAGE_ZH, name) for template in (exchange.ask[0], exchange.tell[0]))
    return _open(question, answer, words, said.zh)


def _open(question: str, answer: str, words: Mapping[str, str], zh: Mapping[str, str]) -> Brief:
    names = sorted({*_SLOT.findall(question), *_SLOT.findall(answer)})
    return Brief(
        question, answer, {name: words[name] for name in names}, tuple(n for n in names if n in _FIXED), dict(zh)
    )


def filled(template: str, words: Mapping[str, str], thing: str) -> str:
    """A template as it is read: with its words, a capital at the beginning, and `thing` where it says `image`."""
    return capitalised(_IMAGE.sub(thing, template).format_map(words))


def filled_in_chinese(template: str, words: Mapping[str, str], thing: str) -> str:
    """A Chinese template as it is read: with its words, and what the asset is called where it says 图像."""
    return template.replace(_IMAGE_ZH, called_in_chinese(thing)).format_map(words)


@functools.cache
def stride(total: int) -> int:
    """A step that meets every wording once and changes question and answer at each variant."""
    step = max(1, round(total * 0.618))
    while math.gcd(step, total) != 1:
        step += 1
    return step
