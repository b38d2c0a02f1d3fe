"""The completer `vllm`: the engine in this process."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from curate.language.answers import Unreadable, read_object
from curate.language.base import Answer, Completer, CompleterError, Failure, Trouble
from curate.language.completers.vllm import InProcess, InProcessOptions
from curate.testing.completers import CompleterContract, a_request, no_images
from tests.llm.asking import SHAPES, SMALL, answers, ask


@pytest.fixture(scope="module")
def reader(text_folder: str) -> Iterator[InProcess]:
    """An engine that reads text."""
    made = InProcess(text_folder, None, InProcessOptions(**SMALL, max_in_flight=24))
    yield made
    made.close()


class TestTheContract(CompleterContract):
    requests_ahead = 24

    @pytest.fixture
    def options(self) -> InProcessOptions:
        return InProcessOptions(**SMALL, max_in_flight=24)

    @pytest.fixture
    def completer(self, reader: InProcess) -> Completer:
        return reader

    @pytest.fixture
    def to_close(self, text_folder: str, options: InProcessOptions) -> Completer:
        return InProcess(text_folder, None, options)


def test_every_shape_of_an_answer_is_read(reader: InProcess) -> None:
    asked = {ask(number, shape): list(shape) for number, shape in enumerate([*SHAPES.values()] * 2)}
    told = answers(reader, *asked)
    read = [read_object(told[each.request_id].text, keys) for each, keys in asked.items()]
    assert len(read) == 16
    assert [each for each in read if isinstance(each, Unreadable)] == []


def test_one_seed_gives_one_answer_and_another_another(reader: InProcess) -> None:
    first, again, other = (answers(reader, ask(7, seed=seed)) for seed in (1, 1, 2))
    assert [each.text for each in first.values()] == [each.text for each in again.values()]
    assert [each.text for each in first.values()] != [each.text for each in other.values()]


def test_an_answer_that_is_cut_says_so(reader: InProcess) -> None:
    (cut,) = answers(reader, ask(1, SHAPES["at least a word"], max_tokens=3)).values()
    assert (cut.finish_reason, cut.completion_tokens) == ("length", 3)


def test_a_prompt_that_leaves_no_room_for_an_answer_is_too_long(reader: InProcess) -> None:
    long = ask(1, messages=[{"role": "user", "content": "x" * 2047}])
    (outcome,) = reader.complete([long], no_images)
    assert outcome == Failure(long.request_id, Trouble.REQUEST_TOO_LONG, outcome.detail)  # type: ignore[union-attr]


def test_what_the_engine_does_not_take_of_one_request_is_refused_for_good(reader: InProcess) -> None:
    strange = [ask(1, messages=[]), ask(2, messages=[{"role": "user", "content": [{"type": "hologram"}]}])]
    found = list(reader.complete([*strange, ask(3)], no_images))
    assert [type(each) for each in found] == [Failure, Failure, Answer]
    assert {each.trouble for each in found if isinstance(each, Failure)} == {Trouble.MODEL_REFUSED}


@pytest.mark.parametrize(
    "parameters", [{"temperature": -3.0}, {"max_tokens": 10**6}, {"response_format": {"type": "json_schema"}}]
)
def test_what_it_would_refuse_of_every_request_is_a_failure_of_the_whole(
    reader: InProcess, parameters: dict[str, Any]
) -> None:
    with pytest.raises(CompleterError, match="not even a short one"):
        list(reader.complete([ask(1, **parameters)], no_images))
    assert len(answers(reader, ask(2))) == 1


def test_a_model_of_text_is_not_shown_images(reader: InProcess) -> None:
    with pytest.raises(CompleterError, match="takes no images"):
        list(reader.complete([a_request(1, image="0" * 64)], no_images))


def test_an_engine_that_was_closed_starts_again(text_folder: str) -> None:
    completer = InProcess(text_folder, None, InProcessOptions(**SMALL))
    first = answers(completer, ask(1))
    completer.close()
    assert answers(completer, ask(1)) == first
    completer.close()


def test_no_model_is_a_failure_of_the_engine_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CompleterError, match="neither a folder nor"):
        list(InProcess(str(tmp_path / "nothing"), None, InProcessOptions(**SMALL)).complete([ask(1)], no_images))


def test_a_model_that_does_not_chat_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    from tests.llm.tiny import text_model

    folder = text_model(tmp_path / "base")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(CompleterError, match="chat template"):
        list(InProcess(str(folder), None, InProcessOptions(**SMALL)).complete([ask(1)], no_images))


def test_an_engine_that_is_killed_is_started_anew_and_only_what_it_held_is_lost(
    text_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    completer = InProcess(text_folder, None, InProcessOptions(**SMALL, max_in_flight=8))
    asked = [ask(number) for number in range(40)]
    found = []
    for outcome in completer.complete(asked, no_images):
        found.append(outcome)
        if len(found) == 10:
            _kill_children()
    completer.close()
    assert sorted(each.request_id for each in found) == sorted(each.request_id for each in asked)
    lost = [each for each in found if isinstance(each, Failure)]
    assert 1 <= len(lost) <= 8
    assert {each.trouble for each in lost} == {Trouble.SERVER_ERROR}
    assert not _children()


class TestImages(CompleterContract):
    sees_images = True
    requests_ahead = 32

    @pytest.fixture(scope="class")
    def seer(self, vision_folder: str) -> Iterator[InProcess]:
        made = InProcess(vision_folder, None, InProcessOptions(**SMALL))
        yield made
        made.close()

    @pytest.fixture
    def options(self) -> InProcessOptions:
        return InProcessOptions(**SMALL)

    @pytest.fixture
    def completer(self, seer: InProcess) -> Completer:
        return seer

    @pytest.fixture
    def to_close(self, vision_folder: str, options: InProcessOptions) -> Completer:
        return InProcess(vision_folder, None, options)

    def test_an_image_that_cannot_be_opened_harms_its_own_request_alone(self, completer: Completer) -> None:
        from curate.language.base import Picture

        broken = a_request(1, image="0" * 64)
        found = list(completer.complete([broken, a_request(2)], lambda _: Picture("image/png", b"\x89PNG nothing")))
        by_id = {each.request_id: each for each in found}
        assert isinstance(by_id.pop(broken.request_id), Failure)
        assert [type(each) for each in by_id.values()] == [Answer]


def _children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if "EngineCore" in _name(each)]


def _kill_children() -> None:
    found = _children()
    assert found, "the engine has a process of its own"
    for each in found:
        os.kill(each.pid, signal.SIGKILL)


def _name(process: psutil.Process) -> str:
    try:
        return " ".join([process.name(), *process.cmdline()])
    except psutil.Error:
        return ""
