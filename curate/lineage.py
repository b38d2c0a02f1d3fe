"""OpenLineage: one event for each part, from its sidecar, to a file or to a server that collects them.

Spec: openlineage.io, RunEvent 2-0-2. A run is the building of one part with these bytes: its id is made of the part and
the digest of its sidecar, so that telling it twice is telling it once. Its event is COMPLETE, at the time of the
sidecar's file; there is none for its start, since nothing in an output says when that was. A part that is not there
has no event; the build that an error ended has one, FAIL, on the machine that it ran on and until the next one begins.

A *job* is a stage of one source of the corpus, or its build. A *dataset* is a table of one source below the output.
"""

import contextlib
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from curate._version import __version__
from curate.corpus import described
from curate.errors import StoreError, UsageError
from curate.schema import CATALOG_TABLES, TABLES
from curate.standing import Stop, stop_noted
from curate.store.freshness import cache_folder
from curate.store.part import WHOLE, OutputFile, Part, Sidecar, Sidecars, encode_sidecar
from curate.store.place import Place, is_remote

__all__ = ["API_KEY", "Sent", "events", "send"]

API_KEY: Final = "OPENLINEAGE_API_KEY"
"""The environment variable with the bearer token of the server, as OpenLineage's own clients name it."""

PRODUCER: Final = f"https://pypi.org/project/medcurate/{__version__}"
_SPEC: Final = "https://openlineage.io/spec/"
RUN_EVENT: Final = f"{_SPEC}2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS: Final = {
    "schema": f"{_SPEC}facets/1-1-1/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet",
    "dataSource": f"{_SPEC}facets/1-0-1/DatasourceDatasetFacet.json#/$defs/DatasourceDatasetFacet",
    "version": f"{_SPEC}facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
    "outputStatistics": f"{_SPEC}facets/1-0-2/OutputStatisticsOutputDatasetFacet.json"
    "#/$defs/OutputStatisticsOutputDatasetFacet",
    "errorMessage": f"{_SPEC}facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
    "dataQualityMetrics": f"{_SPEC}facets/1-0-2/DataQualityMetricsInputDatasetFacet.json"
    "#/$defs/DataQualityMetricsInputDatasetFacet",
}
_RUNS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/medcurate/runs")

_READS: Final = {
    "read": (("scan", "inventory"),),
    "group": (("read", "assets"),),
    "draft": (("read", "assets"), ("read", "annotations")),
    "rewrite": (("draft", "requests"),),
    "verify": (("draft", "drafts"), ("read", "assets"), ("read", "annotations"), ("rewrite", "responses")),
    "catalog": (
        ("read", "assets"),
        ("read", "annotations"),
        ("group", "groups"),
        ("rewrite", "responses"),
        ("verify", "pairs"),
    ),
}
"""Stage -> the tables that it reads, with the stages that write them. `scan` reads the source itself."""

TRIES: Final = 5
WAIT_S: Final = 1.0
"""Before the second try; doubled before each further one."""

TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the events: those sent now, and those that were there or had been sent before."""

    sent: int
    known: int


def events(out: Place) -> Iterator[dict[str, Any]]:
    """The event of every part, as plain JSON values, in the order in which the sidecars were written; last what ended
    the build, where an error did.

    Raises:
        UsageError: the place holds no corpus.
    """
    said = described(out)
    sidecars = Sidecars(out)
    sidecars.load()
    homes = {name: card.source.home for name, card in said.cards.items()}
    teller = _Teller(out, str(said.recipe["name"]), homes, rewrites=said.recipe.get("rewrite") is not None)
    written = sidecars.times()
    for part in sorted(written, key=lambda part: (written[part], str(part))):
        sidecar = sidecars.get(part)
        if sidecar is not None:
            yield teller.event(sidecar, written[part], sidecars)
    stop = stop_noted(out)
    if stop is not None:
        yield teller.failure(stop)


class _Teller:
    """Says sidecars of one output in OpenLineage's words."""

    def __init__(self, out: Place, corpus: str, homes: Mapping[str, str], *, rewrites: bool) -> None:
        self._corpus = corpus
        self._rewrites = rewrites
        self._homes = homes
        if is_remote(out):
            bucket, _, prefix = out.path.strip("/").partition("/")
            self._namespace, self._root = f"s3://{bucket}", prefix
            self._uri = str(out)
        else:
            assert isinstance(out, Path)
            self._namespace, self._root = "file", out.resolve().as_posix()
            self._uri = out.resolve().as_uri()

    def event(self, sidecar: Sidecar, seconds: float, sidecars: Sidecars) -> dict[str, Any]:
        part = sidecar.part
        digest = hashlib.sha256(encode_sidecar(sidecar)).hexdigest()
        job = f"{self._corpus}.{part.stage}" + ("" if part.source == WHOLE else f".{part.source}")
        return self._event(
            "COMPLETE",
            seconds,
            job,
            f"{part.part_id} {digest}",
            inputs=[self._source(sidecar)] if part.stage == "scan" else self._inputs(part, sidecars),
            outputs=self._outputs(sidecar),
        )

    def failure(self, stop: Stop) -> dict[str, Any]:
        """The end of a build by an error: what it was about to write is unknown, what it wrote has its own events."""
        error = _facet("errorMessage", message=stop.message, programmingLanguage="Python")
        run = f"build {stop.seconds!r} {stop.message}"
        return self._event("FAIL", stop.seconds, f"{self._corpus}.build", run, errorMessage=error)

    def _event(
        self,
        kind: str,
        seconds: float,
        job: str,
        run: str,
        *,
        inputs: Sequence[dict[str, Any]] = (),
        outputs: Sequence[dict[str, Any]] = (),
        **facets: dict[str, Any],
    ) -> dict[str, Any]:
        """An event; `run` is what tells its run from every other of this output."""
        return {
            "eventType": kind,
            "eventTime": datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds"),
            "producer": PRODUCER,
            "schemaURL": RUN_EVENT,
            "run": {"runId": str(uuid.uuid5(_RUNS, f"{self._uri} {run}")), "facets": facets},
            "job": {"namespace": "curate", "name": job, "facets": {}},
            "inputs": list(inputs),
            "outputs": list(outputs),
        }

    def _source(self, sidecar: Sidecar) -> dict[str, Any]:
        """The data as they came, by the address that the card gives."""
        files = next((count.n_in for count in sidecar.counts if count.unit == "file"), None)
        facets = {"dataSource": _facet("dataSource", name=sidecar.source, uri=_uri_of(self._homes[sidecar.source]))}
        metrics = _facet("dataQualityMetrics", columnMetrics={}, fileCount=files)
        return {
            "namespace": "curate:source",
            "name": sidecar.source,
            "facets": facets,
            "inputFacets": {"dataQualityMetrics": metrics},
        }

    def _inputs(self, part: Part, sidecars: Sidecars) -> list[dict[str, Any]]:
        """The tables that a part reads: of its own bucket with their rows, of the whole corpus by name alone."""
        found = []
        for stage, table in _READS[part.stage]:
            if stage == "rewrite" and not self._rewrites:
                continue
            if stage in ("group", "rewrite"):
                found.append(self._dataset(stage, WHOLE, table))
            elif part.source == WHOLE:
                found += [self._dataset(stage, source, table) for source in sorted(self._homes)]
            else:
                upstream = sidecars.get(Part(stage, part.source, None if stage == "scan" else part.bucket))
                files = [file for file in upstream.of(table) if file.bucket == part.bucket] if upstream else []
                dataset = self._dataset(stage, part.source, table)
                rows, size = sum(file.rows for file in files), sum(file.bytes for file in files)
                metrics = _facet("dataQualityMetrics", columnMetrics={}, rowCount=rows, bytes=size)
                found.append(dataset | {"inputFacets": {"dataQualityMetrics": metrics}})
        return found

    def _outputs(self, sidecar: Sidecar) -> list[dict[str, Any]]:
        by_table: dict[str, list[OutputFile]] = {}
        for file in sidecar.files:
            by_table.setdefault(file.table, []).append(file)
        found = []
        for table, files in sorted(by_table.items()):
            dataset = self._dataset(sidecar.stage, sidecar.source, table)
            dataset["facets"]["version"] = _facet("version", datasetVersion=sidecar.digest(table))
            rows = None if table == "volumes" else sum(file.rows for file in files)  # a tree holds files, not rows
            count = len(files) if rows is not None else sum(file.rows for file in files)
            size = sum(file.bytes for file in files)
            statistics = _facet("outputStatistics", rowCount=rows, size=size, fileCount=count)
            found.append(dataset | {"outputFacets": {"outputStatistics": statistics}})
        return found

    def _dataset(self, stage: str, source: str, table: str) -> dict[str, Any]:
        schema = (CATALOG_TABLES if stage == "catalog" else TABLES).get(table)
        place = f"catalog/{table}" if stage == "catalog" else f"{table}/{Part(stage, source).folder}"
        facets = {"dataSource": _facet("dataSource", name=self._corpus, uri=self._uri)}
        if schema is not None:
            facets["schema"] = _facet("schema", fields=[{"name": f.name, "type": str(f.type)} for f in schema])
        return {"namespace": self._namespace, "name": "/".join(filter(None, (self._root, place))), "facets": facets}


def _facet(name: str, /, **values: Any) -> dict[str, Any]:
    """A facet of the standard; what is unknown is left out."""
    told = {key: value for key, value in values.items() if value is not None}
    return {"_producer": PRODUCER, "_schemaURL": _FACETS[name], **told}


def _uri_of(home: str) -> str | None:
    """An address that a card gives, where it is one."""
    return home if urlsplit(home).scheme in ("http", "https", "doi") else None


def send(out: Place, target: str, environment: Mapping[str, str], wait: Callable[[float], None] = time.sleep) -> Sent:
    """Every event that the target does not have yet: appended to a file, or sent to a server.

    Which events a server took is remembered beside the output; what was interrupted goes on where it was.

    Raises:
        UsageError: the place holds no corpus, or the address cannot be used.
        StoreError: the file cannot be written, or the server does not take an event.
    """
    if urlsplit(target).scheme in ("http", "https"):
        url, key = _checked(target, environment.get(API_KEY))
        ledger = cache_folder(out) / f"lineage-{hashlib.sha256(url.encode()).hexdigest()[:16]}.txt"
        with _disk_errors(ledger), _Lines(ledger, str) as sent, _poster(url, key, wait) as post:
            return _deliver(out, sent, lambda event: (post(event), event["run"]["runId"])[1])
    path = Path(target)
    with _disk_errors(path), _Lines(path, lambda line: msgspec.json.decode(line)["run"]["runId"]) as lines:
        return _deliver(out, lines, lambda event: msgspec.json.encode(event).decode())


def _deliver(out: Place, lines: "_Lines", deliver: Callable[[dict[str, Any]], str]) -> Sent:
    sent = known = 0
    for event in events(out):
        if event["run"]["runId"] in lines.known:
            known += 1
            continue
        lines.add(deliver(event))
        sent += 1
    return Sent(sent, known)


class _Lines:
    """A file to which whole lines are appended; what a killed process left of a line is cut off."""

    def __init__(self, path: Path, key: Callable[[str], str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes() if path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        try:
            self.known = {key(line) for line in whole.decode().splitlines()}
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{path} holds other lines than events of OpenLineage; name another file") from None
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(len(whole))
        self._file.seek(len(whole))

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *problem: object) -> None:
        self._file.flush()
        with contextlib.suppress(OSError):
            os.fsync(self._file.fileno())
        self._file.close()

    def add(self, line: str) -> None:
        self._file.write(line.encode() + b"\n")
        self._file.flush()


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise StoreError(f"cannot write {path}: {problem.strerror}; free space or choose another --to") from None


def _checked(target: str, key: str | None) -> tuple[str, str | None]:
    """The whole address; a key never goes unencrypted over a network.

    Raises:
        UsageError: the address holds a password, or the key would be read on its way.
    """
    parts = urlsplit(target)
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise UsageError(f"--to takes http(s)://HOST/PATH without a password; set {API_KEY} for a server that asks")
    if key and parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise UsageError(f"{API_KEY} does not go over http to {parts.hostname}; use an https address")
    path = parts.path if parts.path.strip("/") else "/api/v1/lineage"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")), key or None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def _poster(url: str, key: str | None, wait: Callable[[float], None]) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Sends one event after another over one connection; a server that is busy or away is asked again."""
    import requests

    host = urlsplit(url).hostname
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def post(event: dict[str, Any]) -> None:
        said = ""
        for attempt in range(TRIES):
            if attempt:
                wait(WAIT_S * 2 ** (attempt - 1))
            try:
                answer = session.post(
                    url, data=msgspec.json.encode(event), headers=headers, timeout=TIMEOUT_S, allow_redirects=False
                )
            except requests.RequestException as problem:
                said = f"did not answer ({type(problem).__name__})"
                continue
            if answer.status_code < 300:
                return
            said = f"answered {answer.status_code}"
            if answer.status_code not in (408, 429) and answer.status_code < 500:
                break
        raise StoreError(
            f"the lineage server {host} {said}; what it took is remembered: see to the address, {API_KEY} and the "
            "server, then run the same command again"
        )

    with requests.Session() as session:
        yield post
