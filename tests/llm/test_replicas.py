"""The completer `ray`: engines that Ray Data feeds."""

import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from curate.language.answers import Unreadable, read_object
from curate.language.base import Answer, Completer, CompleterError, Failure
from curate.language.completers.ray import RayData, RayOptions
from curate.testing.completers import CompleterContract, no_images
from tests.llm.asking import SHAPES, SMALL, answers, ask

OPTIONS = {**SMALL, "batch_size": 8, "concurrent_batches": 3}
IN_FLIGHT = 8 * 4


@pytest.fixture(scope="module")
def replicas(text_folder: str) -> Iterator[RayData]:
    """One replica on a cluster of this machine."""
    made = RayData(text_folder, None, RayOptions(**OPTIONS))
    yield made
    made.close()


class TestTheContract(CompleterContract):
    requests_ahead = IN_FLIGHT

    @pytest.fixture
    def options(self) -> RayOptions:
        return RayOptions(**OPTIONS)

    @pytest.fixture
    def completer(self, replicas: RayData) -> Completer:
        return replicas

    @pytest.fixture
    def to_close(self, text_folder: str, options: RayOptions) -> Completer:
        return RayData(text_folder, None, options)


def test_every_request_keeps_its_own_schema(replicas: RayData) -> None:
    asked = {ask(number, shape): list(shape) for number, shape in enumerate([*SHAPES.values()] * 2)}
    told = answers(replicas, *asked)
    unread = [
        each for each, keys in asked.items() if isinstance(read_object(told[each.request_id].text, keys), Unreadable)
    ]
    assert [told[each.request_id].finish_reason for each in unread] == ["length"] * len(unread)
    assert len(unread) <= 1


def test_an_answer_that_is_cut_says_so(replicas: RayData) -> None:
    (cut,) = answers(replicas, ask(1, SHAPES["at least a word"], max_tokens=3)).values()
    assert (cut.finish_reason, cut.completion_tokens) == ("length", 3)


def test_a_replica_that_is_killed_costs_no_request_for_good(replicas: RayData) -> None:
    asked = [ask(number, seed=number + 1000) for number in range(60)]
    found = []
    for outcome in replicas.complete(asked, no_images):
        found.append(outcome)
        if len(found) == 8:
            _kill_a_replica()
    assert sorted(each.request_id for each in found) == sorted(each.request_id for each in asked)
    assert not any(each.trouble.is_definitive for each in found if isinstance(each, Failure))
    again = [each for each in asked if each.request_id not in {o.request_id for o in found if isinstance(o, Answer)}]
    assert len(answers(replicas, *again, ask(5000))) == len(again) + 1


def test_a_replica_that_finds_no_place_is_a_failure_of_the_whole(text_folder: str) -> None:
    with pytest.raises(CompleterError, match="cannot be read"):
        list(RayData(f"{text_folder}-not", None, RayOptions(**OPTIONS)).complete([ask(1)], no_images))


def _kill_a_replica() -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        for process in psutil.process_iter(["cmdline"]):
            if "vLLMEngineStageUDF" in " ".join(process.info["cmdline"] or []):
                os.kill(process.pid, signal.SIGKILL)
                return
        time.sleep(0.2)
    raise AssertionError("there is no replica to kill")
