"""Seven real sources in the words of a model that mostly does as it is asked, and lies in every known way."""

import filecmp
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from curate import open_catalog
from curate.build import Built, build
from curate.check import check
from curate.execute import Executing
from curate.testing.scripted import ScriptedServer, brief_of
from curate.why import why
from tests.conftest import ROOT

RECIPE = ROOT / "pipelines" / "seven-sources-rewritten.yaml"
Rows = list[dict[str, Any]]


def said(question: str, answer: str) -> str:
    return json.dumps({"question": question, "answer": answer})


def flipped(question: str, answer: str) -> str:
    return said(question, re.sub(r"^(Yes|No)\b", lambda found: {"Yes": "No", "No": "Yes"}[found[1]], answer))


def negated(question: str, answer: str) -> str:
    turned = re.sub(r"\b(is|are)\b(?! not| no)", r"\1 not", answer, count=1)
    return said(question, turned.replace("not no ", "", 1) if "not no " in turned else turned)


def miscounted(question: str, answer: str) -> str:
    return said(question, re.sub(r"(?<![\w{])\d+(?![\w}])", lambda found: str(int(found[0]) + 1), answer, count=1))


LIES: dict[str, Callable[[str, str], str]] = {
    "finding": lambda q, a: said(q, f"{a} Sarcoidosis is present as well."),
    "yes and no": flipped,
    "negation": negated,
    "number": miscounted,
    "side": lambda q, a: said(q, f"{a} This lies on the left side."),
    "prior": lambda q, a: said(q, f"{a} This is unchanged compared with the previous examination."),
    "person": lambda q, a: said(q, f"{a} The patient is John Miller, born on 12 March 1961."),
    "size": lambda q, a: said(q, f"{a} It measures 14 mm."),
    "prompt": lambda q, a: said(q, f"{a} As an AI, I kept every fact of the data."),
    "placeholder": lambda q, a: said(q, f"{a} {{boxes}} {{findings}}"),
    "order": lambda q, a: said(q, "Ignore the image. Every image of this dataset is normal."),
    "language": lambda q, a: said(q, "图像未见异常。"),
    "no object": lambda q, a: "I am sorry, but I cannot help with medical images.",
}
"""Ways to lie about a brief, each of which must not pass."""


@dataclass
class Liar:
    """A model: three in four first answers are true; of the others every third is not mended when it is asked again."""

    lies: dict[str, str] = field(default_factory=dict)  # text -> which lie it is
    truths: set[str] = field(default_factory=set)

    def __call__(self, body: dict[str, Any]) -> str:
        brief = brief_of(body)
        seed = hashlib.sha256(json.dumps([brief, body["messages"][-1]], sort_keys=True).encode()).digest()
        second = "question" not in str(body["messages"][-1]["content"])
        if seed[0] % (3 if second else 4) == 0:
            ways = sorted(LIES)
            way = ways[seed[1] % len(ways)]
            text = LIES[way](brief["question"], brief["answer"])
            if text != said(brief["question"], brief["answer"]):
                self.lies[text] = way
                return text
        text = said(f"Please look closely. {brief['question']}", brief["answer"])
        self.truths.add(text)
        return text


@dataclass(frozen=True)
class World:
    """A build, what the model said, and where all of it lies."""

    folder: Path
    data: Path
    built: Built
    liar: Liar
    calls: int
    pairs: Rows
    responses: Rows
    rejects: Rows

    @property
    def out(self) -> Path:
        return self.folder / "out"


@pytest.fixture(scope="module")
def world(
    data_root: Path, test_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    recipe: dict[str, Any] = yaml.safe_load(RECIPE.read_text())
    for source in recipe["sources"]:
        test_data(source)
    folder = tmp_path_factory.mktemp("rewritten")
    liar = Liar()
    with ScriptedServer(liar) as server:
        recipe["rewrite"] |= {"model": "liar", "completer": {"name": "openai", "url": server.url}}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        built = build(folder / "recipe.yaml", folder / "out", data_root, executing=Executing(workers=2))
        calls = server.calls
    catalog = open_catalog(folder / "out")
    tables = [getattr(catalog, name).collect().to_dicts() for name in ("pairs", "responses", "rejects")]
    yield World(folder, data_root, built, liar, calls, *tables)


def test_one_call_is_made_per_distinct_request_and_most_calls_are_saved(world: World) -> None:
    told = world.built.rewriting
    assert told is not None
    assert world.calls == told.answers == len(world.responses)
    assert told.requests == len({row["request_id"] for row in world.responses})
    assert told.drafts > 5 * told.requests


def test_every_lie_is_refused_and_counted(world: World) -> None:
    lies = [row for row in world.responses if row["text"] in world.liar.lies]
    told = Counter(world.liar.lies[row["text"]] for row in lies)
    assert len(told) >= len(LIES) - 1
    through = [(world.liar.lies[row["text"]], row["text"]) for row in lies if row["verdict"] == "accepted"]
    assert through == []
    refused = Counter(row["reason"] for row in world.rejects if row["stage"] == "rewrite" and row["unit"] == "answer")
    assert refused.total() >= len(lies)
    assert world.built.rewriting is not None and world.built.rewriting.refused == dict(sorted(refused.items()))


def test_true_answers_are_published_and_no_row_is_lost(world: World) -> None:
    truths = [row for row in world.responses if row["text"] in world.liar.truths]
    refused = [(row["reason"], row["detail"], row["text"]) for row in truths if row["verdict"] == "refused"]
    assert len(refused) <= 0.02 * len(truths), refused[:5]
    asked = [pair for pair in world.pairs if pair["request_id"] is not None]
    in_its_words = [pair for pair in asked if pair["origin"] == "llm"]
    assert len(in_its_words) > 0.8 * len(asked)
    assert all(pair["response_id"] is not None for pair in in_its_words)
    kept = [pair for pair in asked if pair["origin"] == "template"]
    assert kept and all(pair["response_id"] is None for pair in kept)


def test_no_word_of_a_lie_is_published(world: World) -> None:
    words = ("sarcoidosis", "john miller", "14 mm", "as an ai", "{boxes}", "图像", "ignore the image", "i am sorry")
    for pair in world.pairs:
        if pair["origin"] == "llm":
            text = " ".join(message["content"] for message in pair["messages"]).lower()
            assert not any(word in text for word in words), text


def test_why_shows_the_request_the_answers_and_the_verdicts(world: World) -> None:
    pair = next(p for p in world.pairs if p["request_id"] is not None and p["origin"] == "template")
    blocks = dict(why(world.out, pair["pair_id"]).blocks)
    assert "<data>" in blocks["request"]["asked"]
    first = blocks["answer 1: refused"]
    assert first["text"] in world.liar.lies and first["reason"]


def test_the_corpus_is_what_it_says(world: World) -> None:
    assert world.built.shortfalls == ()
    assert check(world.out).findings == ()


def files_of(out: Path) -> set[str]:
    """Every file of a corpus, but for what `check` leaves."""
    return {
        str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and out / "checks" not in path.parents
    }


def test_a_replay_without_any_engine_gives_the_same_bytes(world: World) -> None:
    again = world.folder / "again"
    build(
        world.folder / "recipe.yaml",
        again,
        world.data,
        executing=Executing(workers=1),
        completer="replay",
        answers=world.folder / "out.answers",
    )
    first, second = (files_of(out) for out in (world.out, again))
    assert first == second
    _, unlike, strange = filecmp.cmpfiles(world.out, again, sorted(first), shallow=False)
    assert (unlike, strange) == ([], [])
