"""The YAML at the head of a dataset card, as the Hugging Face Hub and `datasets` read it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from curate.publish.base import Config, Written
from curate.publish.facts import Facts

__all__ = ["card_configs", "config_names", "front_matter", "hub_licence"]

_HUB_LICENCES: Final = frozenset(
    {
        "0bsd",
        "apache-2.0",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "cdla-sharing-1.0",
        "gpl-2.0",
        "gpl-3.0",
        "isc",
        "lgpl-2.1",
        "lgpl-3.0",
        "mit",
        "odc-by",
        "pddl",
        "unlicense",
        "zlib",
    }
)
"""Identifiers that the Hub lists and that are SPDX's in lower case, or stand for one in `_HUB_NAMES`."""

_HUB_NAMES: Final = {"odc-by-1.0": "odc-by", "pddl-1.0": "pddl"}

_SIZES: Final = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
)


def front_matter(name: str, licence: str, facts: Facts, written: Sequence[Written]) -> str:
    """The whole block with its `---` lines, keys in a fixed order."""
    configs = card_configs(written)
    told: dict[str, Any] = {
        "pretty_name": name,
        **({"language": [language for language, _ in facts.languages]} if facts.rows else {}),
        **hub_licence(licence),
        **({"task_categories": _categories(facts)} if facts.rows else {}),
        "size_categories": [_size(facts.rows)],
        "tags": _tags(facts),
    }
    if configs:
        told["configs"] = [_config(name, config, default=place == 0) for place, (name, config) in enumerate(configs)]
        features = [
            {"config_name": name, "features": [dict(feature) for feature in config.features]}
            for name, config in configs
            if config.features
        ]
        if features:
            told["dataset_info"] = features
    return f"---\n{yaml.dump(told, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000)}---\n"


def hub_licence(licence: str) -> dict[str, str]:
    """How the Hub is told of an SPDX expression: by its own word, else as `other` with a name and where to read on."""
    word = licence.lower()
    word = _HUB_NAMES.get(word, word)
    if word in _HUB_LICENCES:
        return {"license": word}
    slug = re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-")
    return {"license": "other", "license_name": slug, "license_link": "LICENSE.md"}


def config_names(written: Sequence[Written]) -> list[tuple[str, Config]]:
    """Every configuration under a name that no other has; the default one comes first.

    Those of `hf-parquet` keep theirs; those of another format begin with its name.
    """
    found = []
    for one in sorted(written, key=lambda one: (one.format != "hf-parquet", one.format)):
        for config in one.configs:
            bare = one.format == "hf-parquet" or config.name.startswith(one.format)
            name = config.name if bare else one.format if config.name == "default" else f"{one.format}-{config.name}"
            found.append((name, config))
    first = next((pair for pair in found if pair[1].default), None)
    return found if first is None else [first, *(pair for pair in found if pair is not first)]


def card_configs(written: Sequence[Written]) -> list[tuple[str, Config]]:
    """Those that a card may list: `datasets` reads all configurations of a card as it reads the first one."""
    found = config_names(written)
    return [pair for pair in found if _kinds(pair[1]) == _kinds(found[0][1])]


def _kinds(config: Config) -> frozenset[str]:
    """How `datasets` calls what reads the files."""
    suffixes = (path.rpartition(".")[2] for path in config.data_files.values())
    return frozenset("json" if suffix == "jsonl" else suffix for suffix in suffixes)


def _config(name: str, config: Config, *, default: bool) -> dict[str, Any]:
    files = [{"split": split, "path": path} for split, path in config.data_files.items()]
    return {"config_name": name, "data_files": files, **({"default": True} if default else {})}


def _categories(facts: Facts) -> list[str]:
    """What the Hub calls the tasks that a model learns from these rows."""
    kinds: Mapping[bool, bool] = {str(media_type).startswith("video/"): True for _, media_type, _ in facts.forms}
    pictures = ["image-text-to-text", "visual-question-answering"] if kinds.get(False) else []
    return pictures + (["video-text-to-text"] if kinds.get(True) else [])


def _size(rows: int) -> str:
    return next((word for limit, word in _SIZES if rows < limit), "n>1T" if rows >= 10**12 else "1B<n<10B")


def _tags(facts: Facts) -> list[str]:
    modalities = sorted({str(modality).lower() for modality, _ in facts.modalities if modality is not None})
    synthetic = ["synthetic-text"] if any(origin != "source" for origin, _ in facts.origins) else []
    return ["medical", "croissant", "instruction-tuning", *synthetic, *modalities]


class _Plain(yaml.SafeDumper):
    """YAML without anchors, which the Hub would show as they stand."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
