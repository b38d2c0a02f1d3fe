"""`curate preview`: the real stages on a sample, nothing left behind, and clear words where it cannot be done."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.build import build
from curate.errors import CurateError, GateError, UsageError
from curate.execute import Executing
from curate.testing.scripted import ScriptedServer, well
from curate.view import Preview
from curate.view import preview as run_preview
from curate.view import write_preview as run_write
from curate.view.estimate import Prices
from tests.conftest import ROOT
from tests.crash.small import CARD, World, curate, small_world, tree

pytestmark = pytest.mark.slow

HERE = Executing("local", 1)
"""One worker: a handful of drawn images is read before a second one has started."""


def preview(*what: Any, **how: Any) -> Preview:
    return run_preview(*what, executing=HERE, **how)


def write_preview(*what: Any, **how: Any) -> Preview:
    return run_write(*what, executing=HERE, **how)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return small_world(tmp_path / "world")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def rewriting(url: str, **more: Any) -> dict[str, Any]:
    return {"model": "scripted", "completer": {"name": "openai", "url": url}, "variants": 2} | more


def test_a_page_is_written_and_nothing_else(world: World, temporary: Path) -> None:
    before = tree(world.folder)
    said = curate("preview", "-j", "1", world.recipe, "--html", world.folder / "page.html", "-n", "4")
    assert said.code == 0, said.text
    after = tree(world.folder)
    assert after.keys() - before.keys() == {"page.html"}
    assert "4 items" in said.stdout.splitlines()[-1] and "curate build" in said.stdout.splitlines()[-1]
    assert list(temporary.iterdir()) == []


def test_pairs_of_the_sample_are_those_of_the_whole_build(world: World) -> None:
    built = build(world.recipe, world.out(), executing=HERE)
    seen = preview(world.recipe, 12)
    assert seen.pairs[0] == built.ledger.emitted["verify", "pairs"]
    assert round(seen.estimate.pairs) == seen.pairs[0]
    assert seen.estimate.pairs_error == 0
    part = preview(world.recipe, 4)
    ids = {pair.draft_id for item in seen.items for figure in item.figures for pair in figure.pairs}
    assert {pair.draft_id for item in part.items for figure in item.figures for pair in figure.pairs} <= ids


def test_items_and_bytes_are_those_of_the_whole_source(world: World) -> None:
    seen = preview(world.recipe, 2)
    assert seen.estimate.items == 12
    assert seen.estimate.bytes == sum(path.stat().st_size for path in (world.data / "images").iterdir())
    assert len(seen.items) == 2


def test_json_tells_what_the_page_shows(world: World) -> None:
    said = curate("preview", "-j", "1", world.recipe, "--html", world.folder / "page.html", "-n", "3", "--json")
    told = json.loads(said.stdout)
    assert len(told["items"]) == 3
    assert told["pairs"] <= told["drafts"]
    assert told["estimate"]["items"] == 12
    assert told["estimate"]["price"] is None


def test_a_card_can_be_seen_alone(world: World) -> None:
    page = world.folder / "page.html"
    assert curate("preview", "-j", "1", world.folder / "cells.yaml", "--data", world.folder, "--html", page).code == 0
    assert "Drawn cells" in page.read_text("utf-8")


def test_words_of_a_model_stand_beside_the_draft_and_lies_beside_their_reasons(world: World) -> None:
    def liar(body: dict[str, Any]) -> str:
        told = well(body)
        if "erythrocyte" not in told:
            return told
        return json.dumps({key: f"{value} There is a fracture." for key, value in json.loads(told).items()})

    with ScriptedServer(liar) as server:
        world.write_recipe(rewrite=rewriting(server.url))
        seen = write_preview(world.recipe, world.folder / "page.html", 6, prices=Prices(1, 2, 100, 3))
        calls = server.calls
    pairs = [pair for item in seen.items for figure in item.figures for pair in figure.pairs]
    good = [pair for pair in pairs if pair.rewritten]
    lied = [pair for pair in pairs if pair.asked and not pair.rewritten]
    assert good and lied
    assert all(pair.origin == "llm" and pair.draft != pair.rewritten for pair in good)
    assert all(pair.kept and [answer.verdict for answer in pair.answers] == ["refused"] * 2 for pair in lied)
    assert all(answer.reason == "label_invented" for pair in lied for answer in pair.answers)
    assert seen.rewriting is not None and calls == seen.rewriting.answers
    assert seen.estimate.price is not None and seen.estimate.gpu_hours is not None
    text = (world.folder / "page.html").read_text("utf-8")
    assert "There is a fracture." in text and "label_invented" in text


def test_answers_are_kept_where_the_build_to_come_will_look(world: World) -> None:
    with ScriptedServer(well) as server:
        world.write_recipe(rewrite=rewriting(server.url))
        preview(world.recipe, 12, answers=world.folder / "out.answers")
        paid = server.calls
        assert build(world.recipe, world.out(), executing=HERE).rewriting is not None
        assert server.calls == paid
    again = preview(world.recipe, 12, completer="replay", answers=world.folder / "out.answers")
    assert again.rewriting is not None and again.rewriting.pairs > 0


def test_without_answers_the_templates_are_shown_and_the_reason_is_told(world: World, temporary: Path) -> None:
    world.write_recipe(rewrite={"model": "scripted"})
    seen = preview(world.recipe, 4, prices=Prices(1, 2, 100, 3))
    pairs = [pair for item in seen.items for figure in item.figures for pair in figure.pairs]
    assert any(pair.asked for pair in pairs) and not any(pair.rewritten for pair in pairs)
    assert seen.notes[0].startswith("no answers of a model:")
    assert str(temporary) not in " ".join(seen.notes)
    assert seen.estimate.asked and seen.estimate.requests
    assert seen.estimate.price is None and seen.estimate.completion_tokens is None


def test_a_server_that_is_not_there_is_told_and_leaves_no_page(world: World, temporary: Path) -> None:
    options = {"name": "openai", "url": "http://127.0.0.1:9/v1", "retries": 0}
    world.write_recipe(rewrite={"model": "gone", "completer": options})
    with pytest.raises(CurateError, match="unreachable"):
        write_preview(world.recipe, world.folder / "page.html", 2)
    assert not (world.folder / "page.html").exists()
    assert list(temporary.iterdir()) == []


def test_terms_that_keep_a_source_here_are_a_gate(world: World) -> None:
    terms = CARD["terms"] | {"remote_llm": False, "quote": "not to third parties"}
    world.write_card(terms=terms)
    world.write_recipe(rewrite=rewriting("https://192.0.2.1/v1"))
    with pytest.raises(GateError, match="not to third parties"):
        preview(world.recipe, 2)
    assert curate("preview", "-j", "1", world.recipe, "--html", world.folder / "page.html").code == 3
    assert not (world.folder / "page.html").exists()


def test_refused_items_are_shown_with_their_reason(world: World) -> None:
    (world.data / "images" / "c03.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (world.data / "images" / "c04.png").unlink()
    seen = preview(world.recipe, 12)
    broken = next(item for item in seen.items if item.key == "images/c03.png")
    assert broken.figures == ()
    assert "truncated_image" in {reason for _, _, reason, _, _ in broken.refusals}
    assert "missing_file" in {one.reason for one in seen.refused}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--html", "nowhere/page.html"], "is not there"),
        (["--html", "page.html", "-n", "0"], "0 is not in the range"),
        (["--html", "page.html", "--price-per-million-tokens", "cheap"], "IN or IN:OUT"),
        (["--html", "page.html", "--completer", "nobody"], "nobody"),
        ([], "--html"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    world: World, words: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    world.write_recipe(rewrite={"model": "scripted"})
    said = curate("preview", "-j", "1", world.recipe, *words)
    assert said.code == 2
    assert told in said.text
    assert not (world.folder / "page.html").exists()


def test_a_source_without_an_image_is_an_error(world: World) -> None:
    world.write_card(images={"glob": "nothing/*.png"})
    with pytest.raises(UsageError, match="no source has an image"):
        preview(world.recipe)


def test_a_source_of_a_server_needs_its_mirror(world: World) -> None:
    world.write_recipe(sources=[{"card": "cells.yaml", "dicomweb": {"url": "https://192.0.2.1/dicom-web"}}])
    said = curate("preview", "-j", "1", world.recipe, "--html", world.folder / "page.html")
    assert said.code == 2
    assert "mirror" in said.text


def test_real_sources_are_shown_as_they_are_built(test_data: Callable[[str], Path], tmp_path: Path) -> None:
    root = test_data("chula-rbc-diseases").parent
    card = ROOT / "catalogs" / "chula-rbc-diseases.yaml"
    seen = preview(card, 13, data_root=root)
    built = build(card, tmp_path / "out", root, executing=HERE)
    assert seen.pairs[0] == built.ledger.emitted["verify", "pairs"]
    assert {item.key for item in seen.items if item.figures} == {one.key for one in seen.items}
