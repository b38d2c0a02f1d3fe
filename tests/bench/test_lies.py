"""Hand-written false sentences: the folder loads, each stands against its annotations, and nearly all are caught."""

from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from bench.verify.entries import EntryError, Lie, lies_of_folder, load_folder, load_lies
from bench.verify.judging import Judge
from bench.verify.run import Bench, judge_lies
from bench.verify.table import markdown

CAUGHT_AT_LEAST = 0.98
"""Share of the hand-written lies that must be refused."""


@pytest.fixture(scope="module")
def judged() -> Bench:
    bench = Bench()
    judge_lies(bench, lies_of_folder(), Judge())
    return bench


def test_both_languages_hold_lies_of_many_kinds() -> None:
    by_file = load_lies()
    assert {stem: len(lies) for stem, lies in by_file.items()} == {"en": 250, "zh": 120}
    for stem, lies in by_file.items():
        assert {lie.language for lie in lies} == {stem}
        assert len({lie.lie for lie in lies}) >= 20


def test_no_lie_is_written_twice_or_stands_among_the_clean_sentences() -> None:
    def told(entry: Any) -> tuple[str, ...]:
        return entry.question, entry.answer, str(entry.says), str(entry.image)

    lies = Counter(told(lie) for lie in chain.from_iterable(load_lies().values()))
    clean = {told(entry) for entry in chain.from_iterable(load_folder().values())}
    assert not [text for text, times in lies.items() if times > 1]
    assert not lies.keys() & clean


def test_hand_written_lies_are_caught(judged: Bench) -> None:
    rates = judged.lie_rates()
    caught, n = sum(rate.hits for rate in rates.values()), sum(rate.n for rate in rates.values())
    missed = [f"{miss['row']} ({miss['kind']}): {miss['answer']}" for miss in judged.misses]
    assert caught / n >= CAUGHT_AT_LEAST, "\n".join(missed)


def test_each_lie_is_counted_once_by_group_and_by_kind(judged: Bench) -> None:
    n = sum(len(lies) for lies in load_lies().values())
    assert sum(rate.n for rate in judged.lie_rates().values()) == n
    assert sum(rate.n for rate in judged.lie_kind_rates().values()) == n
    assert len(judged.misses) == n - sum(rate.hits for rate in judged.lie_rates().values())


def test_the_table_shows_the_lies_with_their_interval(judged: Bench) -> None:
    nothing = {"hits": 0, "n": 0, "share": None, "low": 0.0, "high": 1.0}
    lies = {group: rate.as_json() for group, rate in judged.lie_rates().items()}
    rates = {"caught": nothing, "caught_by_family": {}, "clean_refused": {}, "published": {}, "hand_written_lies": lies}
    table = markdown(rates)
    for group, rate in lies.items():
        assert f"| {group} | {rate['n']:,} | {rate['share']:.2%} | {rate['low']:.2%} to {rate['high']:.2%} |" in table


def test_a_lie_without_its_kind_is_refused(tmp_path: Path) -> None:
    lie = next(iter(load_lies()["en"]))
    plain = {key: value for key, value in _plain(lie).items() if key != "lie"}
    (tmp_path / "en.yaml").write_text(yaml.safe_dump([plain]))
    with pytest.raises(EntryError, match=f"entry 1 .{lie.id}.: .*lie"):
        load_lies(tmp_path)


def _plain(lie: Lie) -> dict[str, Any]:
    return dict(msgspec.to_builtins(lie))
