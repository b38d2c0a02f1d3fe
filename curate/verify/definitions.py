"""Definitions in questions: word for word a reviewed one of the very concept that is asked about, or refused.

The data are those that tasks read (`tasks/wordings/definitions.yaml`), read here on their own. A definition says what a
word means, so that its words are no claim about the picture: it leaves the text before other rules read it.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import yaml

from curate.verify.lexicon import concept_key, definitions_text

__all__ = ["without_definition"]

_LINK: Final = r",?\s*(?:which means|that is|is|are|means?)\s+"


class _Definition(msgspec.Struct, frozen=True):
    names: tuple[str, ...]
    definition: str


@functools.cache
def _known() -> Mapping[str, str]:
    concepts = msgspec.convert(yaml.safe_load(definitions_text())["concepts"], tuple[_Definition, ...])
    return {concept_key(name): one.definition for one in concepts for name in one.names}


def without_definition(asked: Mapping[str, Any], question: str) -> tuple[str, bool | None]:
    """A question without its definition, and whether that is the reviewed one; None where none was to stand there."""
    if not asked.get("defined"):
        return question, None
    definition = _known().get(concept_key(str(asked.get("concept"))))
    if definition is None:
        return question, False
    rest, found = re.subn(_LINK + re.escape(definition) + r"(?=\s*[.,])", "", question)
    return rest, found == 1
