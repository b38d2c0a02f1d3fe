"""OpenLineage: events that the standard's own client accepts, each sent once whatever happens to the server."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from curate.errors import StoreError, UsageError
from curate.lineage import API_KEY, Sent, events, send
from curate.standing import note_stop
from curate.store.part import Sidecars
from tests.crash.small import World, curate, small_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The small source, built."""
    made = small_world(tmp_path_factory.mktemp("world"))
    assert made.build("out", "-j", "1").code == 0
    return made


@dataclass
class Collector:
    """A server that keeps what it is sent; `answers` are its next statuses, then it takes everything."""

    taken: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    answers: list[int] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A real server on this machine."""
    seen = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = seen.answers.pop(0) if seen.answers else 201
            if status == 0:  # hangs up in the middle
                self.close_connection = True
                return
            if status < 300:
                seen.taken.append(json.loads(body))
                seen.keys.add(self.headers["Authorization"])
                seen.paths.add(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield seen
    server.shutdown()
    thread.join()
    server.server_close()


def accepted(event: dict[str, Any]) -> None:
    """See that the classes of the standard's client take an event: its times, ids, addresses and facets."""
    from openlineage.client import event_v2 as standard
    from openlineage.client import facet_v2 as facets

    known = {
        "schema": lambda v: facets.schema_dataset.SchemaDatasetFacet(
            fields=[facets.schema_dataset.SchemaDatasetFacetFields(**each) for each in v["fields"]]
        ),
        "dataSource": lambda v: facets.datasource_dataset.DatasourceDatasetFacet(**v),
        "version": lambda v: facets.dataset_version_dataset.DatasetVersionDatasetFacet(**v),
        "outputStatistics": lambda v: facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(**v),
        "errorMessage": lambda v: facets.error_message_run.ErrorMessageRunFacet(**v),
        "dataQualityMetrics": (
            lambda v: facets.data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(**v)
        ),
    }

    def made(told: dict[str, Any]) -> dict[str, Any]:
        values = {name: {k: v for k, v in facet.items() if k[0] != "_"} for name, facet in told.items()}
        for name, facet in told.items():
            built = known[name](values[name])
            assert facet["_schemaURL"].rpartition("/")[2] == type(built).__name__
        return {name: known[name](value) for name, value in values.items()}

    run_event = standard.RunEvent(
        eventType=standard.RunState[event["eventType"]],
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=standard.Run(runId=event["run"]["runId"], facets=made(event["run"]["facets"])),
        job=standard.Job(namespace=event["job"]["namespace"], name=event["job"]["name"]),
        inputs=[
            standard.InputDataset(
                each["namespace"],
                each["name"],
                facets=made(each["facets"]),
                inputFacets=made(each.get("inputFacets", {})),
            )
            for each in event["inputs"]
        ],
        outputs=[
            standard.OutputDataset(
                each["namespace"],
                each["name"],
                facets=made(each["facets"]),
                outputFacets=made(each["outputFacets"]),
            )
            for each in event["outputs"]
        ],
    )
    assert run_event.run.runId == event["run"]["runId"]


def test_every_part_is_one_event_that_the_standard_takes(world: World) -> None:
    told = list(events(world.out()))
    assert len(told) == len(Sidecars(world.out()).parts())
    assert len({event["run"]["runId"] for event in told}) == len(told)
    assert {event["eventType"] for event in told} == {"COMPLETE"}
    for event in told:
        accepted(event)


def test_a_build_that_an_error_ended_is_a_failed_run_until_the_next_begins(tmp_path: Path) -> None:
    made = small_world(tmp_path)
    assert made.build("out", "-j", "1", "--stage", "scan").code == 0
    note_stop(made.out(), StoreError("cannot write below out: No space left on device; free space"))
    *parts, failed = events(made.out())
    assert [event["eventType"] for event in parts] == ["COMPLETE"] * len(Sidecars(made.out()).parts())
    accepted(failed)
    assert (failed["eventType"], failed["job"]["name"]) == ("FAIL", "small.build")
    assert "No space left" in failed["run"]["facets"]["errorMessage"]["message"]
    target = tmp_path / "events.jsonl"
    assert [send(made.out(), str(target), {}).sent for _ in range(2)] == [len(parts) + 1, 0]
    note_stop(made.out(), None)
    assert {event["eventType"] for event in events(made.out())} == {"COMPLETE"}


def test_what_is_read_is_what_was_written_under_the_same_name(world: World) -> None:
    told = list(events(world.out()))
    written = {(each["namespace"], each["name"]) for event in told for each in event["outputs"]}
    read = {(each["namespace"], each["name"]) for event in told for each in event["inputs"]}
    assert ("curate:source", "cells") in read
    assert read - written == {("curate:source", "cells")}
    rows = sum(
        each["outputFacets"]["outputStatistics"]["rowCount"]
        for event in told
        for each in event["outputs"]
        if each["name"].endswith("assets/cells")
    )
    assert rows == 12


def test_a_file_gets_each_event_once_and_a_torn_line_is_written_again(world: World, tmp_path: Path) -> None:
    target = tmp_path / "events.jsonl"
    first = send(world.out(), str(target), {})
    whole = target.read_bytes()
    assert first == Sent(len(whole.splitlines()), 0)
    target.write_bytes(whole[:-20])
    assert send(world.out(), str(target), {}) == Sent(1, first.sent - 1)
    assert target.read_bytes() == whole


def test_a_file_of_something_else_is_left_alone(world: World, tmp_path: Path) -> None:
    target = tmp_path / "notes.txt"
    target.write_text("of nobody's concern\n")
    with pytest.raises(UsageError, match="other lines"):
        send(world.out(), str(target), {})
    assert target.read_text() == "of nobody's concern\n"


def test_a_server_that_fails_in_between_has_every_event_once_in_the_end(world: World, collector: Collector) -> None:
    waited: list[float] = []
    collector.answers = [201, 503, 0, 201, 429, 201, 400]
    with pytest.raises(StoreError, match="answered 400"):
        send(world.out(), collector.url, {API_KEY: "secret"}, waited.append)
    assert waited == [1.0, 2.0, 1.0]
    assert len(collector.taken) == 3
    again = send(world.out(), collector.url, {API_KEY: "secret"}, waited.append)
    assert again.known == 3
    assert [event["run"]["runId"] for event in collector.taken] == [
        event["run"]["runId"] for event in events(world.out())
    ]
    assert collector.keys == {"Bearer secret"}
    assert collector.paths == {"/api/v1/lineage"}
    assert send(world.out(), collector.url, {}, waited.append).sent == 0


def test_a_server_that_is_away_is_asked_five_times(world: World) -> None:
    waited: list[float] = []
    with pytest.raises(StoreError, match="did not answer") as told:
        send(world.out(), "http://127.0.0.1:9/x?token=hidden", {}, waited.append)
    assert waited == [1.0, 2.0, 4.0, 8.0]
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize("target", ["http://user:word@localhost/", "http://example.org/", "https://"])
def test_a_key_stays_secret(world: World, target: str) -> None:
    with pytest.raises(UsageError):
        send(world.out(), target, {API_KEY: "secret"})


def test_the_command_says_how_many_went_out(world: World, tmp_path: Path) -> None:
    said = curate("lineage", world.out(), "--to", tmp_path / "events.jsonl")
    assert said.code == 0
    assert "0 were there already" in said.stdout
