"""`croissant.json`: a release as Croissant 1.1 describes datasets, with PROV, RAI and ODRL.

Sources: Croissant Format Specification 1.1, Croissant RAI 1.0 (both MLCommons), PROV-O and ODRL 2.2 (W3C), DUO. A
property stands here only where its value is known; what nobody stated is absent. `datePublished`, `creator` and `url`
are those of a publication, which nobody states before it is published: they come as arguments.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from curate._version import __version__
from curate.publish.base import MEDIA_FOLDERS, File, Release, Written
from curate.publish.croissant_records import encoding_of, record_set, split_record_set
from curate.publish.facts import Facts, SourceFacts
from curate.publish.front_matter import config_names
from curate.publish.licences import licence_address, licence_keys
from curate.publish.markdown import is_address
from curate.publish.responsible import responsible
from curate.publish.usage import usage

__all__ = ["CROISSANT", "croissant"]

CROISSANT: Final = "croissant.json"

_CONTEXT: Final[Mapping[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "annotation": "cr:annotation",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "duo": "http://purl.obolibrary.org/obo/DUO_",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "excludes": "cr:excludes",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "readLines": "cr:readLines",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "sdVersion": "cr:sdVersion",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
    "unArchive": "cr:unArchive",
    "value": "cr:value",
}

_STAGES: Final = (
    ("scan", "Label files and headers of the sources were read"),
    ("read", "Images were decoded, proved and stored with the annotations on them"),
    ("group", "Media of one subject, study or file, and repeated ones, were linked and dealt out to splits"),
    ("draft", "Annotations were put into words by templates"),
    ("rewrite", "Texts were worded anew by a language model"),
    ("verify", "Texts were proved against the annotations"),
    ("publish", "Rows whose terms allow it were rendered for trainers"),
)


def croissant(
    release: Release,
    facts: Facts,
    written: Sequence[Written],
    files: Sequence[File],
    local: Callable[[str], Path],
    *,
    url: str | None = None,
    creator: str | None = None,
    published: str | None = None,
    version: str | None = None,
) -> bytes:
    """The file. `local` says where a file of the release lies; `published` is a date in ISO 8601, `creator` a name."""
    file_sets, record_sets = [], []
    for name, config in config_names(written):
        found = record_set(name, config, files, local)
        if found is not None:
            file_sets.append(found[0])
            record_sets.append(found[1])
    told: dict[str, Any] = {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": release.name,
        "description": _description(facts),
        "license": [licence_address(key) or key for key in licence_keys(release.licence)],
        "url": url,
        "creator": None if creator is None else {"@type": "sc:Organization", "name": creator},
        "datePublished": published,
        "version": version,
        "inLanguage": [language for language, _ in facts.languages],
        "keywords": sorted({"medical", *(task for task, *_ in facts.tasks), *_modalities(facts)}),
        "citation": [one.card.source.cite for one in facts.going if one.card.source.cite],
        "isLiveDataset": False,
        "usageInfo": usage(facts) if facts.rows else None,
        **responsible(facts),
        **_provenance(facts),
        "distribution": [*_objects(files), *_media_sets(files), *file_sets],
        "recordSet": [split_record_set(release.splits), *record_sets] if record_sets else None,
    }
    return (
        json.dumps(
            {key: value for key, value in told.items() if value not in (None, [])}, indent=1, ensure_ascii=False
        ).encode()
        + b"\n"
    )


def _description(facts: Facts) -> str:
    going = facts.going
    if not facts.rows:
        return (
            f"The recipe of {sum(one.digests for one in going):,} instruction rows of {len(going):,} medical sources, "
            "and digests that prove what is built from it. No row and no medium is passed on."
        )
    return (
        f"{facts.rows:,} instruction rows over {facts.media:,} media of {len(going):,} medical sources. Every "
        "text was proved against the annotations that its row names."
    )


def _modalities(facts: Facts) -> Iterator[str]:
    for modality, _ in facts.modalities:
        if modality is not None:
            yield str(modality)


def _objects(files: Sequence[File]) -> Iterator[dict[str, Any]]:
    """Every file but media and what is written after this one."""
    for file in files:
        if file.path.partition("/")[0] not in MEDIA_FOLDERS and file.path != CROISSANT:
            yield {
                "@type": "cr:FileObject",
                "@id": file.path,
                "name": file.path,
                "contentUrl": file.path,
                "contentSize": f"{file.bytes} B",
                "encodingFormat": encoding_of(file.path),
                "sha256": file.sha256,
            }


def _media_sets(files: Sequence[File]) -> Iterator[dict[str, Any]]:
    """Pictures, videos and volumes as sets by suffix; MANIFEST.json has the digest of each."""
    found = sorted({
        (folder, path.rpartition(".")[2])
        for file in files
        for folder, _, path in [file.path.partition("/")]
        if folder in MEDIA_FOLDERS and folder != "volumes"
    })  # fmt: skip
    for folder, suffix in found:
        kinds = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "mkv": "video/x-matroska", "mp4": "video/mp4"}
        yield {
            "@type": "cr:FileSet",
            "@id": f"{folder}-{suffix}",
            "name": f"{folder}-{suffix}",
            "description": "MANIFEST.json holds the sha256 of each file; its name is the asset id.",
            "encodingFormat": kinds.get(suffix, encoding_of(f"x.{suffix}")),
            "includes": f"{folder}/*.{suffix}",
        }
    if any(file.path.startswith("volumes/") for file in files):
        yield {
            "@type": "cr:FileSet",
            "@id": "volumes",
            "name": "volumes",
            "description": "One folder per volume: an array in a zarr tree.",
            "encodingFormat": "application/octet-stream",
            "includes": "volumes/*",
        }


def _provenance(facts: Facts) -> dict[str, Any]:
    """What the release was derived from, and by which activities of which agents."""
    tool = {"@id": "#curate", "@type": "prov:SoftwareAgent", "prov:label": f"curate {__version__}"}
    models = [
        {"@id": f"#model-{place}", "@type": "prov:SoftwareAgent", "prov:label": name}
        for place, name in enumerate(dict.fromkeys(one.model for one in facts.models), start=1)
    ]
    return {
        "prov:wasDerivedFrom": [_entity(one) for one in facts.going],
        "prov:wasAttributedTo": [tool, *models],
        "prov:wasGeneratedBy": [
            {
                "@id": f"#{stage}",
                "@type": "prov:Activity",
                "prov:label": f"{stage}: {what}",
                "prov:wasAssociatedWith": [
                    {"@id": agent["@id"]} for agent in (models if stage == "rewrite" else [tool])
                ],
                **({"prov:wasInformedBy": {"@id": f"#{before}"}} if before else {}),
            }
            for before, stage, what in _done(bool(models))
        ],
    }


def _done(rewritten: bool) -> Iterator[tuple[str | None, str, str]]:
    before = None
    for stage, what in _STAGES:
        if stage != "rewrite" or rewritten:
            yield before, stage, what
            before = stage


def _entity(one: SourceFacts) -> dict[str, Any]:
    source = one.card.source
    told = {
        "@id": f"#source-{one.id}",
        "@type": "prov:Entity",
        "prov:label": one.card.title,
        "sc:url": source.home if is_address(source.home) else None,
        "sc:version": source.version,
        "sc:citation": source.cite,
        "sc:license": [
            licence_address(key) or key for licence in one.licences for key in licence_keys(licence.expression)
        ],
    }
    return {key: value for key, value in told.items() if value is not None}
