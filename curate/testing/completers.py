"""What every completer keeps: one outcome for each request, bounded intake, and no prompt where others read it."""

import hashlib
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import pytest

from curate.language.base import Answer, Completer, CompleterOptions, Failure, Outcome, Picture, Request, Where
from curate.language.requests import IMAGE_SCHEME, request

__all__ = ["CompleterContract", "a_request", "no_images"]

CANARY: Final = "Zebulon Quarterfoil"
"""A name that stands in every prompt, and may stand nowhere else."""

KEYS: Final = ("question", "answer")
SCHEMA: Final = {
    "type": "object",
    "properties": {key: {"type": "string", "maxLength": 40} for key in KEYS},
    "required": list(KEYS),
    "additionalProperties": False,
}
LONG_WORDS: Final = 300_000
BREAK_OFF_S: Final = 30.0


def a_request(number: int, *, model: str = "model", image: str | None = None, words: int = 0) -> Request:
    """A request as `curate` makes them: a data field, a schema, sampling, and what no server sees (`metadata`)."""
    brief = {
        "question": f"What does image {number} show?",
        "answer": f"{CANARY} has {number} nodules.{' long' * words}",
    }
    text = f"Write this pair in other words.\n<data>{msgspec.json.encode(brief).decode()}</data>"
    parts = [{"type": "image_url", "image_url": {"url": f"{IMAGE_SCHEME}{image}"}}, {"type": "text", "text": text}]
    return request(
        {
            "model": model,
            "messages": [
                {"role": "system", "content": f"You rewrite pairs. {CANARY} is a secret."},
                {"role": "user", "content": text if image is None else parts},
            ],
            "max_tokens": 96,
            "temperature": 0.0,
            "seed": number,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "pair", "schema": SCHEMA, "strict": True},
            },
            "metadata": {"revision": "none", "prompt": "contract 1"},
        }
    )


def no_images(digest: str) -> Picture:
    """The images of requests without any."""
    raise AssertionError(f"nobody named the image {digest}")


class CompleterContract:
    """Fixtures: `completer`, which may outlive a test; `options`, as it was made with; `to_close`, one to be closed.

    Overridden where it matters: `model` (what requests name), `requests_ahead` (how many may be taken before their
    outcomes are given out), `sees_images`, `joins`, and `too_long` (a request that cannot be answered).
    """

    model: str = "model"
    requests_ahead: int = 128
    sees_images: bool = False
    answers: bool = True
    joins: bool = True  # a request that an outcome brings is answered in the same call

    @pytest.fixture
    def completer(self) -> Completer:
        """The completer under test."""
        raise NotImplementedError

    @pytest.fixture
    def options(self) -> CompleterOptions:
        """Its options."""
        raise NotImplementedError

    @pytest.fixture
    def to_close(self, completer: Completer) -> Completer:
        """A completer that no other test needs."""
        return completer

    @pytest.fixture
    def too_long(self) -> Request | None:
        """A request that this completer cannot answer; null where there is none."""
        return a_request(999, model=self.model, words=LONG_WORDS)

    def test_it_says_what_it_is(self, completer: Completer, options: CompleterOptions) -> None:
        assert completer.name
        assert issubclass(completer.Options, CompleterOptions)
        assert completer.place(options) in Where
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({**msgspec.to_builtins(options), "no_such_setting": 1}, completer.Options)

    def test_every_request_has_one_outcome(self, completer: Completer) -> None:
        asked = self._requests(20)
        found = list(completer.complete(asked, no_images))
        assert sorted(each.request_id for each in found) == sorted(each.request_id for each in asked)
        assert [type(each) for each in found] == [Answer if self.answers else Failure] * len(asked)

    def test_an_answer_says_who_gave_it(self, completer: Completer) -> None:
        for found in completer.complete(self._requests(3), no_images):
            if isinstance(found, Answer):
                assert found.engine
                assert found.model
                assert found.finish_reason
                found.text.encode()
                for count in (found.prompt_tokens, found.completion_tokens):
                    assert count is None or count >= 0

    def test_no_request_makes_no_outcome_and_one_list_follows_another(self, completer: Completer) -> None:
        assert list(completer.complete([], no_images)) == []
        for first in (100, 200):
            assert len(list(completer.complete(self._requests(3, first), no_images))) == 3

    def test_requests_are_taken_as_they_are_needed(self, completer: Completer) -> None:
        taken = 0
        count = 2 * self.requests_ahead + 10

        def requests() -> Iterator[Request]:
            nonlocal taken
            for each in self._requests(count):
                taken += 1
                yield each

        given = 0
        for _ in completer.complete(requests(), no_images):
            given += 1
            assert taken - given <= self.requests_ahead, "requests pile up"
        assert given == taken == count

    def test_a_request_that_an_outcome_brings_is_answered_in_the_same_call_or_left_for_the_next(
        self, completer: Completer
    ) -> None:
        first, brought = self._requests(6, 800), self._requests(6, 820)
        tray, later = _Tray(first), deque(brought)
        found: list[str] = []
        for each in completer.complete(tray, no_images):
            found.append(each.request_id)
            if later:
                tray.waiting.append(later.popleft())
        assert not later, "the first six brought one each"
        if self.joins:
            assert not tray.waiting, "the engine was there and had room"
        found += [each.request_id for each in completer.complete(tray, no_images)]
        assert sorted(found) == sorted(each.request_id for each in (*first, *brought))

    def test_a_request_that_cannot_be_answered_harms_no_other(
        self, completer: Completer, too_long: Request | None
    ) -> None:
        if too_long is None:
            pytest.skip("this completer answers whatever it is asked")
        asked = [*self._requests(2, 300), too_long, *self._requests(2, 400)]
        found = {each.request_id: each for each in completer.complete(asked, no_images)}
        assert isinstance(found.pop(too_long.request_id), Failure)
        assert all(isinstance(each, Answer) is self.answers for each in found.values())
        assert len(found) == 4

    def test_nothing_that_was_asked_is_shown(
        self, completer: Completer, too_long: Request | None, capfd: pytest.CaptureFixture[str], caplog: Any
    ) -> None:
        asked = [*self._requests(2, 500), *([too_long] if too_long else [])]
        failures = [each for each in completer.complete(asked, no_images) if isinstance(each, Failure)]
        written = capfd.readouterr()
        for shown in (*(each.detail for each in failures), written.out, written.err, caplog.text):
            assert CANARY not in shown
            assert "nodules" not in shown

    def test_a_run_that_is_broken_off_leaves_a_completer_that_works(self, completer: Completer) -> None:
        started = time.monotonic()
        running = completer.complete(self._requests(40, 600), no_images)
        next(iter(running))
        _close(running)
        assert time.monotonic() - started < BREAK_OFF_S
        assert len(list(completer.complete(self._requests(2, 700), no_images))) == 2

    def test_images_go_along_by_their_digest(self, completer: Completer) -> None:
        if not self.sees_images:
            pytest.skip("this completer, or the model of this test, takes no images")
        picture = _picture()
        digest = hashlib.sha256(picture.data).hexdigest()
        seen: list[str] = []

        def images(wanted: str) -> Picture:
            seen.append(wanted)
            return picture

        asked = [a_request(number, model=self.model, image=digest) for number in (1, 2)]
        found = list(completer.complete(asked, images))
        assert seen == [digest, digest]
        assert [type(each) for each in found] == [Answer if self.answers else Failure] * 2

    def test_closing_twice_is_closing_once(self, to_close: Completer) -> None:
        to_close.close()
        to_close.close()

    def _requests(self, count: int, first: int = 0) -> list[Request]:
        return [a_request(first + number, model=self.model) for number in range(count)]


def _picture() -> Picture:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).save(file, "PNG")
    return Picture("image/png", file.getvalue())


def _close(running: Iterable[Outcome]) -> None:
    """End an iteration early, where it is a generator."""
    close = getattr(running, "close", None)
    if close is not None:
        close()


class _Tray:
    """Requests that may become more after they have come to an end."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self.waiting = deque(requests)

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        if not self.waiting:
            raise StopIteration
        return self.waiting.popleft()
