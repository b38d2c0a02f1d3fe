"""What a recipe asks a DICOMweb server for, said as the standard says it, and whether the answers heed it."""

import base64
import calendar
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Final

from curate.errors import RecipeError, UsageError
from curate.pacs.client import Credentials, Item, texts_of
from curate.recipe import DicomWeb

__all__ = ["check_query", "contradicted", "credentials", "dicom_query"]

_DATES: Final = re.compile(r"\d{4}(?:\d{2}){0,2}")

_CHECKED: Final = frozenset({"CS", "DA", "UI"})
"""Value representations whose matching leaves no room (PS3.4, C.2.2.2): codes, dates, UIDs. Names and texts do."""


def check_query(source: str, entry: DicomWeb) -> None:
    """Every key is an attribute, every date is one.

    Raises:
        RecipeError: one is not. A server leaves out of account what it does not know, and would answer with everything.
    """
    for query in (entry.query, entry.series):
        for keyword, value in query.items():
            if _vr(keyword) is None:
                raise RecipeError(f"source {source}: dicomweb: {keyword!r} is no DICOM attribute; correct its spelling")
            text = str(value).strip()
            if not text or not text.isprintable():
                raise RecipeError(f"source {source}: dicomweb: {keyword} has no value to match; leave it out")
            if _vr(keyword) == "DA" and _range(text) is None:
                raise RecipeError(
                    f"source {source}: dicomweb: {keyword} is a date or a range of dates, like 20200131, 2020-2021, "
                    "202001- or -20201231"
                )


def dicom_query(query: Mapping[str, str | int]) -> dict[str, str]:
    """The keys as a server takes them: years and months become ranges of days."""
    said = {}
    for keyword, value in sorted(query.items()):
        text = str(value).strip()
        dates = _range(text) if _vr(keyword) == "DA" else None
        if dates is not None:
            first, last = dates
            text = first if first == last else f"{first}-{last}"
        said[keyword] = text
    return said


def contradicted(items: Iterable[Item], query: Mapping[str, str]) -> Iterator[str]:
    """Keys that some match states otherwise than the query asks: the server does not heed them."""
    for item in items:
        for keyword, wanted in query.items():
            vr, stated = _vr(keyword), texts_of(item, _tag(keyword))
            if vr not in _CHECKED or not stated:
                continue
            if vr == "DA":
                first, last = _range(wanted) or ("", "")
                dates = [one for one in stated if len(one) == 8 and one.isdigit()]
                heeded = not dates or any(first <= one <= (last or "9") for one in dates)
            else:
                any_of = [pattern.strip().upper() for pattern in re.split(r"[\\,]", wanted)]
                heeded = any(fnmatchcase(one.upper(), pattern) for one in stated for pattern in any_of)
            if not heeded:
                yield keyword


def credentials(source: str, entry: DicomWeb, environment: Mapping[str, str]) -> Credentials:
    """The secret that the environment holds, as a header.

    Raises:
        UsageError: the variable is not set, or no header can hold what it has.
    """
    name = entry.token_env or entry.basic_env
    if name is None:
        return Credentials(None)
    secret = environment.get(name, "").strip()
    if not secret or not secret.isprintable():
        raise UsageError(f"source {source}: the environment variable {name} holds no secret for its DICOMweb server")
    if entry.token_env is not None:
        if not secret.isascii():
            raise UsageError(f"source {source}: the environment variable {name} holds no bearer token")
        return Credentials(f"Bearer {secret}")
    if ":" not in secret:
        raise UsageError(f"source {source}: the environment variable {name} does not hold user:password")
    return Credentials("Basic " + base64.b64encode(secret.encode()).decode("ascii"))


def _range(text: str) -> tuple[str, str] | None:
    """First and last day of a date, a month, a year, or a range of these; an open end is empty; null: it is none."""
    compact = text.replace(" ", "")
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", compact):
        compact = compact.replace("-", "")
    first, dash, last = compact.partition("-")
    if not dash:
        last = first
    if not (first or last) or not all(_DATES.fullmatch(end) for end in (first, last) if end):
        return None
    begin, end = _day(first, last=False), _day(last, last=True)
    if begin is None or end is None or (begin and end and begin > end):
        return None
    return begin, end


def _day(text: str, *, last: bool) -> str | None:
    if not text:
        return ""
    year, month = int(text[:4]), int(text[4:6] or (12 if last else 1))
    if year < 1 or not 1 <= month <= 12:
        return None
    length = calendar.monthrange(year, month)[1]
    day = int(text[6:8] or (length if last else 1))
    return f"{year:04}{month:02}{day:02}" if 1 <= day <= length else None


def _tag(keyword: str) -> str:
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    return "" if tag is None else f"{tag:08X}"


def _vr(keyword: str) -> str | None:
    from pydicom.datadict import dictionary_VR

    tag = _tag(keyword)
    return str(dictionary_VR(int(tag, 16))) if tag else None
