"""Prompt packs: the words that a model is asked with, as versioned YAML below `prompts/` or beside a recipe."""

import functools
import importlib.resources
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import yaml

from curate.card import Struct, convert_strictly, read_yaml
from curate.errors import RecipeError

__all__ = ["KEYS", "SLOT", "Pack", "Shot", "load_pack"]

KEYS: Final = ("question", "answer")
"""What a model is given, and gives back."""

SLOT: Final = re.compile(r"\{(\w+)\}")
"""A placeholder, which code fills."""


class Shot(Struct, frozen=True):
    """One example: what is given, and what is said."""

    data: dict[str, str]
    says: dict[str, str]

    def __post_init__(self) -> None:
        if not set(self.data) == set(self.says) == set(KEYS):
            raise ValueError(
                f"an example gives and says {' and '.join(KEYS)}, found {sorted({*self.data, *self.says})}"
            )
        for key in KEYS:
            if Counter(SLOT.findall(self.data[key])) != Counter(SLOT.findall(self.says[key])):
                raise ValueError(f"the {key} that an example says has other placeholders than the one it is given")


class Pack(Struct, frozen=True):
    """One style in one language.

    `system` and the shots are the static prefix of every request; `voices` are the variants, by index; `repair` tells
    of an answer that was refused, with `{problem}` for the reason.
    """

    id: str
    version: int
    language: Literal["en", "zh"]
    system: str
    free: str
    slots: str
    voices: tuple[str, ...]
    repair: str
    shots: tuple[Shot, ...] = ()
    slot_shots: tuple[Shot, ...] = ()

    def __post_init__(self) -> None:
        if not self.voices:
            raise ValueError("voices is empty; say at least one way of speaking")
        if "{problem}" not in self.repair:
            raise ValueError("repair has no {problem}; it must tell why an answer was refused")

    @property
    def name(self) -> str:
        """Id and version, as a request names it."""
        return f"{self.id}@{self.version}"


def load_pack(style: str, language: str, folder: str) -> Pack:
    """The pack of a style: a name below `prompts/`, or the path of a YAML file, relative to the recipe's folder.

    Raises:
        RecipeError: there is none, it does not say what a pack must say, or it speaks another language.
    """
    if style.endswith((".yaml", ".yml")):
        path = Path(folder) / style
        pack = convert_strictly(read_yaml(path, RecipeError), Pack, str(path), RecipeError)
    else:
        pack = _shipped(style, language)
    if pack.language != language:
        raise RecipeError(f"the style {style!r} speaks {pack.language}, the recipe asks for {language}")
    return pack


@functools.cache
def _shipped(style: str, language: str) -> Pack:
    folder = importlib.resources.files(__package__).joinpath("prompts")
    known = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    if f"{style}.{language}" not in known:
        raise RecipeError(f"no style {style!r} in {language!r}; there are {', '.join(known)}, or a YAML file's path")
    raw: Any = yaml.safe_load(folder.joinpath(f"{style}.{language}.yaml").read_text("utf-8"))
    return msgspec.convert(raw, Pack)
