"""rewrite, again: what was answered is paid once, passing trouble leaves no trace, and a replay needs no model."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.language.base import Answer, CompleterOptions, Failure, Request, Trouble, Where
from curate.language.completers import BUILT_IN
from curate.store.part import Sidecars
from curate.testing.scripted import Reply, brief_of, well
from tests.crash.small import RECIPE, Said, curate, draw, tree, write_csv, write_yaml
from tests.stages.rewriting import Asking, Script, answers, asking, built_here, first, is_repair


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with built_here():
        yield


def about(word: str, reply: Reply) -> Script:
    """A model that answers well, but for requests with a word in their data, of which it makes trouble."""
    return lambda body: reply if word in str(brief_of(body)["answer"]) else well(body)


def answers_a(share: float) -> Script:
    """A model that answers so many of the requests, always the same ones."""

    def script(body: dict[str, Any]) -> str | Reply:
        place = int(hashlib.sha256(json.dumps(body).encode()).hexdigest()[:4], 16) / 16**4
        return well(body) if place < share else Reply(status=500)

    return script


def rewrites(out: Path) -> int:
    return len(Sidecars(out).listed("rewrite"))


def again(asked: Asking, name: str = "out", *more: str) -> tuple[Said, int]:
    """Another build, and how many calls it cost."""
    before = asked.server.calls
    said = asked.build(name, *more)
    return said, asked.server.calls - before


TROUBLE = {
    "server error": Reply(status=503, body={"error": {"message": "overloaded"}}),
    "dropped connection": Reply(drop=True),
    "cut answer": Reply(text="never mind", cut=20),
    "rate limit": Reply(status=429, body={"error": {"message": "slow down"}}),
    "timeout": Reply(delay_s=3.0),
}


@pytest.mark.parametrize("kind", TROUBLE)
def test_trouble_that_may_pass_leaves_the_part_unbuilt_and_what_was_answered_paid(tmp_path: Path, kind: str) -> None:
    with asking(tmp_path, about("leukocyte", TROUBLE[kind])) as asked:
        asked.write(options={"timeout_s": 0.7})
        said, calls = again(asked)
        assert said.code == 1
        assert "requests got no answer" in said.stderr
        assert f"stored in {asked.store.parent}: run the same command again" in said.stderr
        assert len(said.stderr.strip().splitlines()) == 1
        assert "leukocyte" not in said.stderr
        out = asked.world.out()
        assert (rewrites(out), len(Sidecars(out).listed("verify")), len(Sidecars(out).listed("catalog"))) == (0, 0, 0)
        stored = len(asked.store.read_bytes().splitlines())
        assert 0 < stored < calls
        asked.server.answer = well
        said, calls_then = again(asked)
        assert said.code == 0, said.text
        assert calls_then == calls - stored
        assert asked.rows("SELECT DISTINCT origin FROM pairs") == [{"origin": "llm"}]
        asked.check()


def test_trouble_with_a_repair_leaves_the_part_unbuilt_too(tmp_path: Path) -> None:
    lie = answers(answer="There is a pneumothorax.")
    with asking(tmp_path, first(lie, lambda _: Reply(status=503))) as asked:
        said, calls = again(asked)
        assert said.code == 1
        assert rewrites(asked.world.out()) == 0
        asked.server.answer = first(lie)
        said, calls_then = again(asked)
        assert said.code == 0, said.text
        assert calls_then == calls / 2
        assert asked.rows("SELECT DISTINCT origin FROM pairs") == [{"origin": "llm"}]


def test_the_bytes_do_not_tell_how_often_a_build_had_to_be_run(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        assert asked.build("calm").code == 0
        for share in (0.25, 0.5, 0.75):
            asked.server.answer = answers_a(share)
            assert asked.build().code == 1
        asked.server.answer = well
        assert asked.build().code == 0
        assert tree(asked.world.out()) == tree(asked.world.out("calm"))


def test_a_server_that_is_not_there_is_one_line_and_no_template_text(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        asked.server.stop()
        said = asked.build()
        assert said.code == 1
        assert "127.0.0.1" in said.stderr
        assert "run the same command again" in said.stderr
        assert "Traceback" not in said.text
        assert rewrites(asked.world.out()) == 0
        assert not (asked.world.out() / "pairs").exists()


def test_what_is_done_costs_no_call_and_no_engine(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        asked.done()
        before = tree(asked.world.out())
        asked.server.stop()
        again_ = asked.done()
        assert again_["built"] == dict.fromkeys(again_["built"], 0)
        assert tree(asked.world.out()) == before
        shutil.rmtree(asked.world.out())  # the store alone is left
        asked.done()
        assert tree(asked.world.out()) == before


def test_a_replay_gives_the_same_bytes_in_another_folder_without_any_server(tmp_path: Path) -> None:
    lie = answers(answer="There is a pneumothorax.")

    def script(body: dict[str, Any]) -> str | Reply:
        if "platelet" in str(brief_of(body)["answer"]):
            return Reply(status=400, body={"error": {"code": "content_policy_violation"}})
        return lie(body) if not is_repair(body) or "leukocyte" in str(brief_of(body)["answer"]) else well(body)

    with asking(tmp_path, script, images=8) as asked:
        said = asked.done()["rewriting"]
        assert 0 < said["pairs"] < said["drafts"]
        stored = asked.store.read_bytes()
    elsewhere = tmp_path / "published"
    shutil.copytree(asked.store.parent, elsewhere)
    replayed = asked.world.build("elsewhere", "--completer", "replay", "--answers", str(elsewhere))
    assert replayed.code == 0, replayed.text
    assert tree(asked.world.out("elsewhere")) == tree(asked.world.out())
    assert (elsewhere / "answers.jsonl").read_bytes() == stored
    assert not (tmp_path / "elsewhere.answers").exists()


def test_a_replay_with_an_answer_missing_says_so_and_builds_nothing_false(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        asked.done()
    lines = asked.store.read_bytes().splitlines(keepends=True)
    folder = tmp_path / "less"
    folder.mkdir()
    (folder / "answers.jsonl").write_bytes(b"".join(lines[:3] + lines[4:]))
    said = asked.world.build("elsewhere", "--completer", "replay", "--answers", str(folder))
    assert said.code == 1
    assert f"replay: 1 answers are not in the store {folder}; build with an engine" in said.stderr
    assert "damaged" not in said.stderr
    assert rewrites(asked.world.out("elsewhere")) == 0
    assert not (asked.world.out("elsewhere") / "pairs").exists()
    assert (folder / "answers.jsonl").read_bytes() == b"".join(lines[:3] + lines[4:])


def test_a_replay_makes_no_store_where_there_is_none(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        said = asked.world.build("out", "--completer", "replay", "--answers", str(tmp_path / "mistyped"))
        assert said.code == 1
        assert "answers are not in the store" in said.stderr
        assert not (tmp_path / "mistyped").exists()


def test_a_damaged_line_is_an_answer_that_is_not_there_and_is_told(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        asked.done()
        lines = asked.store.read_bytes().splitlines(keepends=True)
        lines[2] = lines[2].replace(b"Please", b"PLease")
        asked.store.write_bytes(b"".join(lines))
        said = asked.world.build("replayed", "--completer", "replay", "--answers", str(asked.store.parent))
        assert said.code == 1
        assert "replay: 1 answers are not in the store" in said.stderr
        assert "(1 lines of " in said.stderr
        assert "damaged" in said.stderr
        said, calls = again(asked, "mended", "--answers", str(asked.store.parent))
        assert (said.code, calls) == (0, 1)
        assert "note: 1 lines of " in said.stdout
        assert tree(asked.world.out("mended")) == tree(asked.world.out())
        said = asked.world.build("replayed", "--completer", "replay", "--answers", str(asked.store.parent))
        assert said.code == 0
        assert tree(asked.world.out("replayed")) == tree(asked.world.out())


def test_the_first_answer_stays_whatever_the_model_says_later(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        asked.done()
        asked.server.answer = answers(question="Something else?")
        said, calls = again(asked, "later", "--answers", str(asked.store.parent))
        assert (said.code, calls) == (0, 0)
        assert tree(asked.world.out("later")) == tree(asked.world.out())
        said, calls = again(asked, "fresh")
        assert said.code == 0
        assert calls > 0
        assert tree(asked.world.out("fresh")) != tree(asked.world.out())


def test_a_new_source_asks_only_what_nobody_asked_before(tmp_path: Path) -> None:
    with asking(tmp_path, images=8, variants=1) as asked:
        asked.done()
        known = asked.server.calls
        world = asked.world
        for number in range(4):
            draw(tmp_path / "more/images" / f"d{number}.png", 100 + number)
        labels = [[f"d{n}", f"q{n}", "healthy"] for n in range(4)]
        write_csv(tmp_path / "more/labels.csv", ["name", "patient", "diagnosis"], labels)
        boxes = [[f"d{n}", 1, 1, 9, 9, "platelet"] for n in range(3)] + [["d3", 1, 1, 9, 9, "blast"]]
        write_csv(tmp_path / "more/boxes.csv", ["name", "x1", "y1", "x2", "y2", "label"], boxes)
        (tmp_path / "more.yaml").write_text((tmp_path / "cells.yaml").read_text().replace("id: cells", "id: more"))
        sources = [{"card": "more.yaml", "data": "more"}, *RECIPE["sources"]]
        asked.write({"sources": sources}, variants=1)
        said = asked.done()
        fresh = asked.server.bodies[known:]
        assert fresh
        assert len(fresh) == said["rewriting"]["requests"] - known
        assert all(
            "blast" in json.dumps(body["messages"][-1]) or "no abnormality" in json.dumps(body) for body in fresh
        )
        assert said["built"]["read"] == len(Sidecars(world.out()).listed("read")) - 2
        asked.check()
        # The order in which a recipe lists its sources leaves no trace.
        asked.write({"sources": sources[::-1]}, variants=1)
        assert world.plan() == {}
        assert asked.build("turned", "--answers", str(asked.store.parent)).code == 0
        assert curate("gc", world.out()).code == 0
        assert tree(world.out("turned")) == tree(world.out())


@pytest.mark.parametrize(
    "change",
    [
        {"model": "another"},
        {"revision": "abc"},
        {"temperature": 0.1},
        {"top_p": 0.9},
        {"max_tokens": 300},
        {"seed": 9},
        {"style": "plain"},
        {"mode": "slots"},
        {"see_image": True},
    ],
    ids=str,
)
def test_whatever_shapes_an_answer_asks_anew(tmp_path: Path, change: dict[str, Any]) -> None:
    with asking(tmp_path) as asked:
        asked.done()
        asked.write(**change)
        plan = asked.world.plan()
        assert {part.split("/")[0] for part in plan} >= {"draft"}
        said, calls = again(asked)
        assert said.code == 0, said.text
        assert calls == asked.one("SELECT count(*) FROM responses")
        assert asked.world.plan() == {}
        assert asked.rows("SELECT DISTINCT origin FROM pairs") == [{"origin": "llm"}]


def test_other_words_of_a_pack_ask_anew_and_other_words_of_its_repair_only_the_repairs(tmp_path: Path) -> None:
    pack = {
        "id": "own",
        "version": 1,
        "language": "en",
        "system": "Rewrite.",
        "free": "",
        "slots": "",
        "voices": ["Briefly."],
        "repair": "Wrong: {problem}",
    }
    with asking(tmp_path, first(answers(answer="There is a pneumothorax."))) as asked:
        write_yaml(tmp_path / "own.yaml", pack)
        asked.write(style="own.yaml")
        requests = asked.done()["rewriting"]["requests"]
        assert asked.server.calls == 2 * requests
        for change, cost in (({"repair": "Not so: {problem}"}, requests), ({"system": "Rewrite it."}, 2 * requests)):
            pack |= change
            write_yaml(tmp_path / "own.yaml", pack)
            said, calls = again(asked)
            assert said.code == 0, said.text
            assert calls == cost
            assert curate("gc", asked.world.out()).code == 0
            fresh = f"fresh-{cost}"
            assert asked.build(fresh, "--answers", str(asked.store.parent)).code == 0
            assert tree(asked.world.out(fresh)) == tree(asked.world.out())


def test_a_pack_of_the_same_words_elsewhere_changes_nothing(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        asked.done()
        import importlib.resources

        shipped = importlib.resources.files("curate.language").joinpath("prompts", "clinical.en.yaml")
        (tmp_path / "copied.yaml").write_text(shipped.read_text("utf-8"))
        asked.write(style="copied.yaml")
        assert asked.world.plan() == {}
        said, calls = again(asked)
        assert (said.code, calls) == (0, 0)


def test_who_answers_and_how_changes_nothing(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        asked.done()
        before = tree(asked.world.out())
        for completer in (
            {"name": "openai", "url": "http://127.0.0.1:9/v1", "concurrency": 3},
            {"name": "openai", "url": asked.server.url, "requests_per_minute": 1.0},
            {"name": "replay"},
            "replay",
        ):
            asked.world.write_recipe(rewrite={"model": "scripted", "completer": completer})
            assert asked.world.plan() == {}
            said, calls = again(asked)
            assert (said.code, calls) == (0, 0), said.text
        assert tree(asked.world.out()) == before


def test_a_recipe_that_rewrites_no_more_has_template_text_and_no_answers(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        asked.done()
        asked.world.write_recipe()
        assert asked.build().code == 0
        assert asked.rows("SELECT DISTINCT origin, request_id, response_id FROM pairs") == [
            {"origin": "template", "request_id": None, "response_id": None}
        ]
        assert asked.rows("SELECT * FROM responses") == []
        assert curate("gc", asked.world.out()).code == 0
        assert asked.build("fresh").code == 0
        assert tree(asked.world.out("fresh")) == tree(asked.world.out())


def test_a_changed_label_asks_only_what_it_changes(tmp_path: Path) -> None:
    with asking(tmp_path, images=12, variants=1) as asked:
        asked.done()
        path = asked.world.data / "boxes.csv"
        path.write_text(path.read_text().replace("c05,2,3,6,9,platelet", "c05,2,3,6,9,macrophage"))
        said, calls = again(asked)
        assert said.code == 0, said.text
        assert 0 < calls < 12
        assert all("macrophage" in json.dumps(body["messages"][-1]) for body in asked.server.bodies[-calls:])
        assert curate("gc", asked.world.out()).code == 0
        assert asked.build("fresh", "--answers", str(asked.store.parent)).code == 0
        assert tree(asked.world.out("fresh")) == tree(asked.world.out())


@pytest.mark.parametrize("stage", ["verify", "catalog"])
def test_a_stage_alone_says_which_one_it_waits_for(tmp_path: Path, stage: str) -> None:
    with asking(tmp_path) as asked:
        for before in ("scan", "read", "group", "draft"):
            assert asked.build("out", "--stage", before).code == 0
        said, calls = again(asked, "out", "--stage", stage)
        assert (said.code, calls) == (1, 0)
        assert "rewrite" in said.stderr or "verify" in said.stderr
        assert "Traceback" not in said.text
        assert asked.build("out", "--stage", "rewrite").code == 0
        assert asked.server.calls > 0


class Odd:
    """A completer with a fault: it forgets one request, answers one twice, or one that nobody asked."""

    name = "odd"
    Options = CompleterOptions
    fault = "forgets"

    def __init__(self, model: str, revision: str | None, options: CompleterOptions) -> None:
        pass

    @staticmethod
    def place(options: CompleterOptions) -> Where:
        return Where.LOCAL

    def complete(self, requests: Any, images: Any) -> Iterator[Answer | Failure]:
        asked: list[Request] = list(requests)
        for request in asked[1:]:
            yield Answer(request.request_id, well(json.loads(request.body)), "stop", "odd", "odd 1")
        if self.fault == "stops":
            yield Failure(asked[0].request_id, Trouble.SERVER_ERROR, "a reason")
        if self.fault == "doubles":
            yield Failure(asked[1].request_id, Trouble.TIMEOUT)
        if self.fault == "invents":
            yield Answer("0" * 64, "{}", "stop", "odd", "odd 1")

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("forgets", "odd said nothing of 1 requests"),
        ("doubles", "odd answered what it was not asked, or twice"),
        ("invents", "odd answered what it was not asked, or twice"),
        ("stops", "1 requests got no answer (server_error 1): a reason"),
    ],
)
def test_a_completer_with_a_fault_is_named_and_its_answers_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, told: str
) -> None:
    monkeypatch.setitem(BUILT_IN, "odd", "tests.stages.test_rewrite_again:Odd")
    monkeypatch.setattr(Odd, "fault", fault)
    with asking(tmp_path) as asked:
        asked.world.write_recipe(rewrite={"model": "odd", "completer": "odd"})
        said = asked.build()
        assert said.code == 1
        assert told in said.stderr, said.stderr
        assert "bug in curate" not in said.stderr
        assert rewrites(asked.world.out()) == 0
        assert len(asked.store.read_bytes().splitlines()) > 10


def test_a_completer_from_the_command_line_needs_something_to_answer(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        asked.world.write_recipe()
        said = asked.world.build("out", "--completer", "replay")
        assert said.code == 2
        assert "says no `rewrite`" in said.stderr
        asked.write()
        said = asked.world.build("out", "--completer", "nobody")
        assert said.code == 2
        assert "known completers: batchfile, openai, ray, replay, vllm" in said.stderr
        asked.world.write_recipe(rewrite={"model": "m", "completer": "replay"})
        said = asked.world.build("out", "--completer", "openai")
        assert said.code == 2
        assert "url" in said.stderr
