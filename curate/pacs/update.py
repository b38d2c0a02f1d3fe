"""What a DICOMweb query finds now, brought into the mirror: instances that are not there yet, and those alone.

Every instance that is found is in the mirror in the end, or the build stops and says how many are not, and why.
"""

import contextlib
import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from curate.corpus import ProjectKey, ResolvedSource
from curate.errors import DataError
from curate.pacs.client import Client, Item, RefusedAnswerError, ServerError, UnansweredError, texts_of, uid_of
from curate.pacs.mirror import Mirror, Received, Whole, stated_uid
from curate.pacs.query import check_query, contradicted, credentials, dicom_query
from curate.recipe import DicomWeb
from curate.store.durable import sync_folder, write_errors
from curate.store.freshness import seen

__all__ = ["Ingested", "check_source", "from_mirror", "ingest"]

STUDY_UID: Final = "0020000D"
SERIES_UID: Final = "0020000E"
INSTANCE_UID: Final = "00080018"
SERIES_OF_STUDY: Final = "00201206"
INSTANCES_OF_SERIES: Final = "00201209"

MAX_MATCHES: Final = 10_000_000
"""Of one source: a list that goes on for ever must end."""

CONNECTIONS: Final = 4
"""Instances fetched at a time: enough to hide a server's latency, few enough for a clinical one."""

DEAD_AFTER: Final = 3
"""So many instances in a row that never came, each after several attempts: the server is gone."""

SHOWN: Final = 5
"""How many tokens of missing instances an error names."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of one source's query. `fetched` and `kept` sum to `found`; `gone` were in the mirror before."""

    source: str
    studies: int
    series: int
    found: int
    fetched: int
    kept: int
    gone: int
    bytes: int
    offline: bool = False


def check_source(source: ResolvedSource) -> None:
    """Everything about a DICOMweb source that can be judged without its server.

    Raises:
        RecipeError: a key that is no DICOM attribute, or a date that is none.
    """
    if source.dicomweb is not None:
        check_query(source.id, source.dicomweb)


def ingest(
    source: ResolvedSource,
    key: ProjectKey,
    *,
    environment: Mapping[str, str],
    progress: Callable[[int, int], None] = lambda done, wanted: None,
    sleep: Callable[[float], object] = time.sleep,
    timeouts_s: tuple[float, float] | None = None,
) -> Ingested:
    """Bring the mirror of a source to what its query finds now.

    Raises:
        DataError: the server, its answers or some of its instances are not to be had: what was fetched stays.
        UsageError: the variable with the secret is not set.
        StoreError: the disk would not have it, or another build fetches into the same mirror.
    """
    assert source.dicomweb is not None
    mirror = Mirror(Path(source.root).parent)
    signed = credentials(source.id, source.dicomweb, environment)
    with contextlib.ExitStack() as stack:
        stack.enter_context(write_errors(f"source {source.id}: cannot write its mirror", "what was fetched stays"))
        mirror.prepare()
        stack.enter_context(mirror.locked(source.id))
        client = stack.enter_context(Client(source.dicomweb.url, signed, sleep=sleep, timeouts_s=timeouts_s))
        try:
            return _Ingest(source.id, source.dicomweb, key, mirror, client).run(progress)
        except ServerError as problem:
            raise DataError(
                f"source {source.id}: its DICOMweb server gave {problem}; what was fetched stays: try again, or build "
                "with --offline from a mirror that is whole"
            ) from None


def from_mirror(source: ResolvedSource, key: ProjectKey) -> Ingested:
    """What the mirror holds, where it is whole: no server is asked.

    Raises:
        DataError: it is not, or it is that of another query.
    """
    assert source.dicomweb is not None
    mirror = Mirror(Path(source.root).parent)
    whole = mirror.whole()
    if whole is None or whole.query != _digest(source.dicomweb, key):
        found = "there is none" if whole is None else "it is that of another server, query or project key"
        raise DataError(f"source {source.id}: no whole mirror to build from offline ({found}); build without --offline")
    held, there = mirror.all_received(), mirror.all_there()
    wrong = len({name for name in held.keys() | there.keys() if held.get(name) != there.get(name)})
    if wrong or len(held) != whole.instances:
        raise DataError(
            f"source {source.id}: {wrong or abs(whole.instances - len(held)):,} files of its mirror, which had "
            f"{whole.instances:,}, are not as they came; build without --offline"
        )
    return Ingested(source.id, whole.studies, whole.series, len(held), 0, len(held), 0, whole.bytes, offline=True)


@dataclass(slots=True)
class _Tally:
    """What happened so far; shared by the connections."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    bytes: int = 0
    fetched: int = 0
    kept: int = 0
    dead_in_a_row: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)  # tokens


class _Ingest:
    """One pass over one query."""

    def __init__(self, source: str, entry: DicomWeb, key: ProjectKey, mirror: Mirror, client: Client) -> None:
        self.id = source
        self.entry = entry
        self.key = key
        self.mirror = mirror
        self.client = client
        self.tally = _Tally()

    def run(self, progress: Callable[[int, int], None]) -> Ingested:
        series = self._series()
        if not series:
            raise DataError(f"source {self.id}: the query finds no series on its DICOMweb server; correct `query`")
        wanted: set[str] = set()
        found = 0
        for done, (study, item) in enumerate(series):
            progress(done, len(series))
            uid = uid_of(item, SERIES_UID)
            instances = self._instances(study, uid, item, found)
            found += len(instances)
            name = self.key.token("series", self.id, uid)
            wanted.add(name)
            self._mirror_series(name, instances)
        progress(len(series), len(series))
        if not found:
            raise DataError(
                f"source {self.id}: its DICOMweb server lists {len(series):,} series and no instance of them"
            )
        self._judge(found)
        gone = self.mirror.keep_only(wanted)
        studies = len({study for study, _ in series})
        tally = self.tally
        self.mirror.set_whole(Whole(_digest(self.entry, self.key), studies, len(wanted), found, tally.bytes))
        return Ingested(self.id, studies, len(wanted), found, tally.fetched, tally.kept, gone, tally.bytes)

    def _series(self) -> list[tuple[str, Item]]:
        """Study UID and match of every series that the query finds, each series once."""
        query = dicom_query(self.entry.query)
        studies = self.client.search((), query, uid=STUDY_UID, most=MAX_MATCHES)
        self._check(studies, query, "studies")
        per_series = dicom_query(self.entry.series)
        found: dict[str, tuple[str, Item]] = {}
        for study in studies:
            uid = uid_of(study, STUDY_UID)
            matches = self.client.search((uid,), per_series, uid=SERIES_UID, most=MAX_MATCHES - len(found))
            self._check(matches, per_series, "series")
            if not per_series:
                self._check_count(study, SERIES_OF_STUDY, len(matches), "series of a study")
            for match in matches:
                found.setdefault(uid_of(match, SERIES_UID), (uid, match))
        return list(found.values())

    def _instances(self, study: str, series: str, item: Item, found: int) -> list[tuple[str, str, str]]:
        """The instances of one series: UIDs of study, series and instance."""
        matches = self.client.search((study, series), {}, uid=INSTANCE_UID, most=MAX_MATCHES - found)
        self._check_count(item, INSTANCES_OF_SERIES, len(matches), "instances of a series")
        return [(study, series, uid_of(match, INSTANCE_UID)) for match in matches]

    def _check(self, items: list[Item], query: Mapping[str, str], what: str) -> None:
        for keyword in contradicted(items, query):
            raise DataError(
                f"source {self.id}: its DICOMweb server answers with {what} that {keyword} excludes, so it does not "
                "heed that key; leave it out, or ask for what the server can match"
            )

    def _check_count(self, item: Item, tag: str, listed: int, what: str) -> None:
        stated = [int(text) for text in texts_of(item, tag) if text.isascii() and text.isdigit() and len(text) < 10]
        if self.entry.trust_counts and stated and listed < stated[0]:
            raise DataError(
                f"source {self.id}: its DICOMweb server counts {stated[0]:,} {what} and lists {listed:,}; try again, "
                "or say `trust_counts: false` where its counts are known to be wrong"
            )

    def _mirror_series(self, name: str, instances: list[tuple[str, str, str]]) -> None:
        """Fetch what is missing, and remember what came; what the series has no more is removed last of all."""
        place = self.mirror.files / name
        place.mkdir(exist_ok=True)
        before = self.mirror.received(name)
        tokens = [self.key.token("instance", self.id, uid) for *_, uid in instances]

        def one(token: str, instance: tuple[str, str, str]) -> Received | None:
            return self._mirror_one(place / f"{token}.dcm", instance, before.get(token))

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            came = dict(zip(tokens, pool.map(one, tokens, instances), strict=True))
        received = {token: result for token, result in came.items() if result is not None}
        sync_folder(place)
        sync_folder(place.parent)
        if received.keys() != before.keys():
            self.mirror.changes()
        if received != before:
            self.mirror.set_received(name, received)

    def _mirror_one(self, path: Path, instance: tuple[str, str, str], before: Received | None) -> Received | None:
        """One instance: that at hand, or a new one; null where it could not be had, which the tally knows."""
        if self.tally.dead_in_a_row >= DEAD_AFTER:
            return before
        held = Mirror.held(path, before, instance[-1])
        if held is not None and held.etag is None:
            self._count(held.bytes, fetched=False)
            return held
        try:
            received = self._fetch(path, instance, held)
        except ServerError as problem:
            with self.tally.lock:
                self.tally.causes[str(problem)] += 1
                self.tally.missing.append(path.stem)
                self.tally.dead_in_a_row = self.tally.dead_in_a_row + 1 if isinstance(problem, UnansweredError) else 0
            return held
        self._count(received.bytes, fetched=received is not held)
        return received

    def _count(self, size: int, *, fetched: bool) -> None:
        with self.tally.lock:
            self.tally.dead_in_a_row = 0
            self.tally.bytes += size
            self.tally.fetched += fetched
            self.tally.kept += not fetched
            if self.tally.bytes > self.entry.total_bytes:
                raise DataError(
                    f"source {self.id}: the query finds more than {self.entry.total_bytes:,} bytes; narrow it, or "
                    "raise `total_bytes`"
                )

    def _fetch(self, path: Path, instance: tuple[str, str, str], held: Received | None) -> Received:
        temporary = self.mirror.incoming / path.name
        etag = None if held is None else held.etag
        digest = hashlib.sha256()

        @contextlib.contextmanager
        def target() -> Iterator[Callable[[bytes], object]]:
            nonlocal digest
            digest = hashlib.sha256()
            with temporary.open("wb") as file:

                def write(data: bytes) -> None:
                    digest.update(data)
                    file.write(data)

                yield write
                file.flush()
                os.fsync(file.fileno())

        try:
            answer = self.client.fetch(instance, target, etag=etag, max_bytes=self.entry.instance_bytes)
            if not answer.changed and held is not None:
                return held
            stated = stated_uid(temporary)
            if stated is None:
                raise RefusedAnswerError("a file that is no DICOM")
            if stated != instance[-1]:
                raise RefusedAnswerError("another instance than was asked for")
            self.mirror.changes()
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
        stat = path.stat()
        return Received(stat.st_size, digest.hexdigest(), seen(stat), answer.etag)

    def _judge(self, found: int) -> None:
        """Stop unless every instance that was found is here."""
        there = self.tally.fetched + self.tally.kept
        if there == found:
            return
        causes = [f"{cause} ({n:,} times)" for cause, n in sorted(self.tally.causes.items())]
        untried = found - there - self.tally.causes.total()
        causes += [f"not asked for any more ({untried:,} times)"] if untried else []
        tokens = ", ".join(sorted(self.tally.missing)[:SHOWN]) + (", ..." if found - there > SHOWN else "")
        raise DataError(
            f"source {self.id}: {found - there:,} of {found:,} instances could not be fetched: {', '.join(causes)}; "
            f"tokens: {tokens}; what was fetched stays: run the same command again"
        )


def _digest(entry: DicomWeb, key: ProjectKey) -> str:
    said = [entry.url.rstrip("/"), dicom_query(entry.query), dicom_query(entry.series), key.fingerprint]
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()
