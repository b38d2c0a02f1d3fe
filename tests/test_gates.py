"""The gate: what a source's terms keep here never meets a completer outside, and the refusal quotes them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.card import Card, parse_card
from curate.corpus import Corpus, ResolvedSource
from curate.errors import GateError, RecipeError
from curate.execute import Executing
from curate.gates import check_gates, check_rewrite, gate_note
from curate.recipe import Engine, Recipe, Rewrite, SourceEntry, TaskEntry
from curate.terms import remote_problem
from curate.testing.scripted import ScriptedServer, well
from tests.crash.small import CARD, World, curate, small_world

QUOTE = "You may not share these data, or anything made of them, with third parties"

TERMS: dict[str, dict[str, Any]] = {
    "open": {"licence": "CC-BY-4.0", "deidentified": True},
    "open, of nobody knows whom": {"licence": "CC-BY-4.0"},
    "open, of people": {"licence": "CC-BY-4.0", "deidentified": False},
    "open, of people, allowed": {"licence": "CC-BY-4.0", "deidentified": False, "remote_llm": True},
    "open, forbidden": {"licence": "MIT", "deidentified": True, "remote_llm": False},
    "share alike": {"licence": "CC-BY-SA-4.0", "deidentified": True},
    "not for money": {"licence": "CC-BY-NC-4.0", "deidentified": True},
    "agreement": {"licence": "LicenseRef-PhysioNet-Credentialed", "deidentified": True, "redistribute": False},
    "agreement, allowed": {
        "licence": "LicenseRef-Agreement", "deidentified": True, "redistribute": False, "remote_llm": True,
    },
    "unknown": {"licence": "LicenseRef-unstated", "deidentified": True},
    "unknown, allowed": {"licence": "LicenseRef-unstated", "deidentified": True, "remote_llm": True},
    "unknown, allowed, of nobody knows whom": {"licence": "LicenseRef-unstated", "remote_llm": True},
}  # fmt: skip
TEXT_MAY_LEAVE = {
    "open", "open, of nobody knows whom", "share alike", "not for money", "agreement, allowed", "unknown, allowed",
    "unknown, allowed, of nobody knows whom",
}  # fmt: skip
IMAGES_MAY_LEAVE = TEXT_MAY_LEAVE - {"open, of nobody knows whom", "unknown, allowed, of nobody knows whom"}


def openai(url: str, where: str | None = None) -> Engine:
    return Engine(name="openai", options={"url": url} | ({} if where is None else {"where": where}))


THERE = "https://api.example.com/v1"
COMPLETERS: dict[str, tuple[Engine, str]] = {
    "replay": (Engine(name="replay"), "local"),
    "vllm": (Engine(name="vllm"), "local"),
    "ray": (Engine(name="ray"), "local"),
    "openai here": (openai("http://127.0.0.1:8000/v1"), "local"),
    "openai here by name": (openai("http://localhost:8000/v1"), "local"),
    "openai there": (openai(THERE), "remote"),
    "openai of ours": (openai("https://gpu.hospital.example/v1", "local"), "local"),
    "openai here, of others": (openai("http://[::1]:1/v1", "remote"), "remote"),
    "openai that looks like here": (openai("https://localhost.example.com/v1"), "remote"),
    "openai on the net of the house": (openai("http://192.168.1.5:8000/v1"), "remote"),
    "openai on every address": (openai("http://0.0.0.0:8000/v1"), "remote"),
    "files for others": (Engine(name="batchfile", options={"folder": "files"}), "remote"),
    "files for a machine of ours": (Engine(name="batchfile", options={"folder": "files", "where": "local"}), "local"),
}


def card(terms: str, name: str = "cells", **changes: Any) -> Card:
    said = {"quote": QUOTE, "read_at": "LICENSE.txt"} | TERMS[terms]
    return parse_card(CARD | {"id": name, "terms": said} | changes, f"{name}.yaml")


def corpus(*cards: Card, engine: Engine, see_image: bool = False) -> Corpus:
    recipe = Recipe(
        name="gate",
        sources=tuple(SourceEntry(card=each.id) for each in cards),
        tasks=(TaskEntry(name="count"),),
        rewrite=Rewrite(model="m", completer=engine, see_image=see_image),
    )
    return Corpus(recipe=recipe, sources=tuple(ResolvedSource(card=each, root="nowhere", limit=None) for each in cards))


@pytest.mark.parametrize("see_image", [False, True], ids=["text", "images"])
@pytest.mark.parametrize("completer", COMPLETERS)
@pytest.mark.parametrize("terms", TERMS)
def test_terms_decide_whom_a_source_may_meet(terms: str, completer: str, see_image: bool) -> None:
    engine, where = COMPLETERS[completer]
    may_leave = terms in (IMAGES_MAY_LEAVE if see_image else TEXT_MAY_LEAVE)
    asked = corpus(card(terms), engine=engine, see_image=see_image)
    if where == "local" or may_leave:
        check_gates(asked)
        return
    with pytest.raises(GateError) as caught:
        check_gates(asked)
    told = str(caught.value)
    assert told.startswith("cells may not be sent to a third party: ")
    assert f'"{QUOTE}"' in told
    assert f"({TERMS[terms]['licence']}, read at LICENSE.txt)" in told
    assert caught.value.exit_code == 3


def test_the_reason_is_that_which_a_person_can_do_something_about() -> None:
    for terms, images, reason in (
        ("open, of people", False, "its card says that it is not de-identified"),
        ("open, of people, allowed", False, "its card says that it is not de-identified"),
        ("open, of nobody knows whom", True, "its card does not say that its images are de-identified"),
        ("open, forbidden", False, "its card says `remote_llm: false`"),
        ("agreement", False, "of the class agreement, and its card does not say `remote_llm: true`"),
        ("unknown", False, "of the class unknown, and its card does not say `remote_llm: true`"),
    ):
        assert reason in str(remote_problem(card(terms), images=images))


def test_terms_that_only_the_rows_know_keep_a_source_here() -> None:
    labels = [CARD["labels"][0] | {"fields": {"licence": {"column": "licence"}}}]
    for terms, problem in (("open", "its rows state licences of their own"), ("unknown, allowed", None)):
        said = remote_problem(card(terms, labels=labels), images=False)
        assert (said is None) if problem is None else (problem in str(said))


def test_one_source_that_must_stay_keeps_the_whole_recipe_here() -> None:
    engine, _ = COMPLETERS["openai there"]
    check_gates(corpus(card("open"), card("share alike", "more"), engine=engine))
    with pytest.raises(GateError, match=r"^kept may not be sent"):
        check_gates(corpus(card("open"), card("agreement", "kept"), engine=engine))


def test_without_a_rewriter_there_is_nothing_to_refuse() -> None:
    asked = corpus(card("agreement"), engine=COMPLETERS["openai there"][0])
    check_gates(msgspec.structs.replace(asked, recipe=msgspec.structs.replace(asked.recipe, rewrite=None)))


def test_a_note_says_who_sees_what_is_sent() -> None:
    for completer, words in (("openai there", "third parties see it"), ("openai here", "stays with us")):
        asked = corpus(card("open"), engine=COMPLETERS[completer][0])
        assert asked.recipe.rewrite is not None
        assert words in gate_note(asked.recipe.rewrite)


def test_a_rewriter_is_judged_without_starting_it() -> None:
    recipe = corpus(card("open"), engine=Engine(name="replay")).recipe
    plain = Rewrite(model="m", completer=Engine(name="replay"))
    check_rewrite(plain, recipe)
    for change, told in (
        ({"completer": Engine(name="nobody")}, "no completer is called 'nobody'"),
        ({"completer": Engine(name="replay", options={"url": "x"})}, "url"),
        ({"completer": Engine(name="openai")}, "url"),
        ({"tasks": ("count", "poetry")}, "poetry"),
    ):
        with pytest.raises(RecipeError, match=told):
            check_rewrite(msgspec.structs.replace(plain, **change), recipe)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return small_world(tmp_path, images=2)


@pytest.mark.parametrize("command", ["plan", "build"])
@pytest.mark.parametrize("see_image", [False, True], ids=["text", "images"])
def test_plan_and_build_refuse_with_3_before_anything_is_read_written_or_sent(
    world: World, command: str, see_image: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(Executing, "open", started.append)
    terms = {"quote": QUOTE, "read_at": "LICENSE", **TERMS["open, of nobody knows whom" if see_image else "agreement"]}
    world.write_card(terms=terms)
    before = sorted(path.name for path in world.folder.iterdir())
    with ScriptedServer(well) as server:
        completer = {"name": "openai", "url": server.url, "where": "remote"}
        world.write_recipe(rewrite={"model": "m", "completer": completer, "see_image": see_image})
        said = curate(command, world.recipe, "--out", world.out())
        as_json = curate(command, world.recipe, "--out", world.out(), "--json")
        assert (said.code, as_json.code) == (3, 3)
        assert QUOTE in said.stderr
        assert "cells may not be sent to a third party" in said.stderr
        assert len(said.stderr.strip().splitlines()) == 1
        assert QUOTE in as_json.text
        assert (server.calls, server.connections) == (0, 0)
    assert started == []
    assert sorted(path.name for path in world.folder.iterdir()) == before


def test_one_stage_alone_or_another_completer_is_no_way_around_the_gate(world: World) -> None:
    world.write_card(terms={"quote": QUOTE, "read_at": "LICENSE", **TERMS["agreement"]})
    world.write_recipe(rewrite={"model": "m", "completer": {"name": "openai", "url": THERE}})
    for more in (
        ("--stage", "scan"),
        ("--stage", "rewrite"),
        ("--completer", "openai"),
        ("--parts", "0:1", "--stage", "draft"),
    ):
        assert world.build("out", *more).code == 3
    said = world.build("out", "--completer", "replay")  # nothing is sent
    assert said.code == 1
    assert "answers are not in the store" in said.stderr


def test_a_source_that_may_leave_is_built_and_the_note_says_that_it_leaves(world: World) -> None:
    with ScriptedServer(well) as server:
        completer = {"name": "openai", "url": server.url, "where": "remote"}
        world.write_recipe(rewrite={"model": "m", "completer": completer})
        said = world.build()
        assert said.code == 0, said.text
        assert "(remote: third parties see it" in said.stdout
    where = json.loads(curate("query", world.out(), 'SELECT DISTINCT "where" FROM responses', "--json").stdout)
    assert where == [{"where": "remote"}]
