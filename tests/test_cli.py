"""The command line as people meet it: help, documentation, exit codes, JSON, last lines.

`python -m tests.test_cli` writes `docs/commands.md` from the help itself.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from curate.cli import cli
from curate.corpus import CORPUS_FILE
from curate.store.place import Place, names_in
from tests.conftest import ROOT
from tests.crash.small import CARD, World, curate, draw, small_world, tree, write_csv, write_yaml

PAGE = ROOT / "docs" / "commands.md"

INTRODUCTION = """# Commands

Written from the commands' own help; `python -m tests.test_cli` writes it again, and a test compares.

`RECIPE` may be a card. A source's data lie in the folder that the recipe's `data` names, else in `ROOT/<id>` of
`--data ROOT`. Every command takes `--json`: one JSON document on standard output, errors included. The last line of the
text says what was done and the next command. Progress is shown on a terminal only.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a check failed, the data contradict the card, rejects exceed the limit, or the disk failed |
| 2 | the command line, a card or a recipe is wrong |
| 3 | the terms of a source forbid what was asked |
| 130 | interrupted; what was committed stays |

A build may be killed at any time: run the same command again and it goes on. `curate gc` removes what was left over.
"""


def page() -> str:
    """The page as the commands' help has it."""
    blocks = [INTRODUCTION]
    for name in sorted(cli.commands):
        said = CliRunner().invoke(cli, [name, "--help"], prog_name="curate", terminal_width=100, color=False).output
        blocks.append(f"## curate {name}\n\n```text\n{said.rstrip()}\n```\n")
    return "\n".join(blocks)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The small source, built."""
    made = small_world(tmp_path_factory.mktemp("world"))
    (made.data / "notes.txt").write_text("of nobody's concern")
    assert made.build().code == 0
    return made


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_and_option_has_help(name: str) -> None:
    command = cli.commands[name]
    assert command.help
    assert command.help.strip().endswith(".")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
    assert "--json" in {option for parameter in command.params for option in parameter.opts}


def test_the_page_of_commands_is_their_help() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.test_cli`"


def parsed(*arguments: object) -> Any:
    """What a command prints with `--json`."""
    said = curate(*arguments, "--json")
    assert said.stderr == ""
    return json.loads(said.stdout)


def test_every_answer_is_there_as_json(world: World, tmp_path: Path) -> None:
    out = world.out()
    assert {finding["name"] for finding in parsed("doctor")}
    assert "bccd" in {card["id"] for card in parsed("sources")}
    assert parsed("sources", "bccd")["id"] == "bccd"
    assert parsed("sniff", world.data)["card"]["images"]
    assert parsed("phantom", tmp_path / "phantom", "--images", 2, "--only", "phantom-cells-yolo")
    assert {row["state"] for row in parsed("plan", world.recipe, "--out", out)} == {"done"}
    assert parsed("build", world.recipe, "--out", out)["shortfalls"] == []
    assert parsed("status", out)["complete"] is True
    assert parsed("rejects", out)[0]["rows"] == 1
    assert len(parsed("rejects", out, "--list")) == 1
    assert parsed("check", out)["ok"] is True
    assert parsed("query", out, "SELECT count(*) AS n FROM assets") == [{"n": 12}]
    assert parsed("why", out, "c03")["kind"] == "file"
    assert parsed("gc", out, "--dry-run")["removed"] is False
    tested = {
        "doctor", "sources", "sniff", "phantom", "plan", "build", "status", "rejects", "check", "query", "why", "gc",
    }  # fmt: skip
    assert tested <= set(cli.commands)


def test_an_error_is_json_too(tmp_path: Path) -> None:
    said = curate("check", tmp_path, "--json")
    assert said.code == 2
    assert json.loads(said.stdout)["exit_code"] == 2


def test_the_last_line_says_what_was_done_and_the_next_command(world: World) -> None:
    out = world.out()
    for arguments in (
        ["plan", world.recipe, "--out", out],
        ["build", world.recipe, "--out", out],
        ["status", out],
        ["rejects", out],
        ["check", out],
        ["gc", out, "--dry-run"],
        ["sources"],
    ):
        said = curate(*arguments)
        assert said.code == 0
        last = said.stdout.splitlines()[-1]
        assert "Next: curate" in last or last.endswith("Nothing to do."), last


def _unknown_key(world: World) -> None:
    world.write_card(titel="Cells")


def _unknown_layout(world: World) -> None:
    world.write_card(labels=[{"layout": "vocc", "files": "*.xml"}])


def _unknown_option(world: World) -> None:
    world.write_card(labels=[CARD["labels"][0] | {"colums": {}}])


def _unknown_task(world: World) -> None:
    world.write_recipe(tasks=["counting"])


def _unknown_recipe_key(world: World) -> None:
    world.write_recipe(taks=["count"])


def _unknown_card(world: World) -> None:
    world.write_recipe(sources=["no-such-card"])


def _no_yaml(world: World) -> None:
    world.recipe.write_text("name: [")


def _endless_yaml(world: World) -> None:
    world.recipe.write_text("a: " + "[" * 20_000)


def _bad_fractions(world: World) -> None:
    world.write_recipe(split={"fractions": {"train": 0.9}})


def _a_list(world: World) -> None:
    world.recipe.write_text("- a\n- b\n")


def _foreign_folder(world: World) -> None:
    world.out().mkdir()
    (world.out() / "thesis.tex").write_text("mine")


def _output_in_data(world: World) -> None:
    world.write_recipe(sources=[{"card": "cells.yaml", "data": "."}])


def _output_is_a_file(world: World) -> None:
    world.out().write_text("a file")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_unknown_key, "did you mean `title`"),
        (_unknown_layout, "vocc"),
        (_unknown_option, "colums"),
        (_unknown_task, "counting"),
        (_unknown_recipe_key, "did you mean `tasks`"),
        (_unknown_card, "no card for source 'no-such-card'"),
        (_no_yaml, "not valid YAML"),
        (_endless_yaml, "not valid YAML"),
        (_bad_fractions, "sum to 1"),
        (_a_list, "mapping"),
        (_foreign_folder, "holds no corpus"),
        (_output_in_data, "lie within each other"),
        (_output_is_a_file, "is a file"),
    ],
)
def test_a_wrong_card_recipe_or_folder_is_a_usage_error(
    tmp_path: Path, spoil: Callable[[World], None], said: str
) -> None:
    world = small_world(tmp_path, images=1)
    spoil(world)
    before = tree(tmp_path)
    answer = world.build()
    assert answer.code == 2
    assert said in answer.stderr
    assert tree(tmp_path) == before  # nothing was written


def test_an_output_that_no_file_system_can_name_is_a_usage_error(tmp_path: Path) -> None:
    world = small_world(tmp_path, images=1)
    said = world.build("x" * 300)
    assert said.code == 2
    assert "cannot be looked at: File name too long" in said.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["build"],
        ["build", "RECIPE"],
        ["build", "nowhere.yaml", "--out", "OUT"],
        ["build", "RECIPE", "--out", "OUT", "--stage", "painting"],
        ["build", "RECIPE", "--out", "OUT", "--parts", "0:1"],
        ["build", "RECIPE", "--out", "OUT", "--stage", "read", "--parts", "3:1"],
        ["build", "RECIPE", "--out", "OUT", "--limit", "0"],
        ["build", "RECIPE", "--out", "OUT", "-j", "-1"],
        ["paint"],
        ["status", "NOWHERE"],
        ["check", "NOWHERE"],
        ["rejects", "NOWHERE"],
        ["query", "NOWHERE", "SELECT 1"],
        ["why", "NOWHERE", "c03"],
        ["gc", "NOWHERE"],
        ["check", "OUT", "--sources"],
        ["query", "OUT", "SELEKT 1"],
        ["query", "OUT", "SELECT * FROM nowhere"],
        ["query", "OUT", "SELECT subject::INT FROM assets"],
        ["why", "OUT", "no-such-thing"],
        ["why", "OUT", "0123456789abcdef"],
        ["why", "OUT", ""],
        ["sources", "no-such-card"],
        ["sniff", "NOWHERE"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_a_usage_error(world: World, tmp_path: Path, arguments: list[str]) -> None:
    named = {"RECIPE": world.recipe, "OUT": world.out(), "NOWHERE": tmp_path / "nowhere"}
    answer = curate(*(named.get(argument, argument) for argument in arguments))
    assert answer.code == 2, answer.text
    assert answer.stderr
    assert not (tmp_path / "nowhere").exists()


def test_data_that_are_not_there_or_hold_nothing_are_told_as_such(tmp_path: Path) -> None:
    world = small_world(tmp_path, images=1)
    shutil.rmtree(world.data)
    answer = world.build()
    assert answer.code == 1
    assert "cells: its data folder" in answer.stderr
    world.data.mkdir()
    answer = world.build()
    assert answer.code == 1
    assert "'labels.csv' matches no file" in answer.stderr


def test_labels_without_any_image_are_told_as_such(tmp_path: Path) -> None:
    world = small_world(tmp_path, images=1)
    shutil.rmtree(world.data / "images")
    answer = world.build()
    assert answer.code == 1
    assert "100.0% of images rejected" in answer.stdout
    assert "missing_file 1" in answer.stdout


def test_rejects_beyond_the_limit_fail_the_build_that_is_built_all_the_same(tmp_path: Path) -> None:
    world = small_world(tmp_path, images=8)
    (world.data / "images/c01.png").write_bytes(b"")
    answer = world.build()
    assert answer.code == 1
    assert "of items rejected beyond expected_rejects; the limit is 1.0% (empty_file 1)" in answer.stdout
    assert curate("query", world.out(), "SELECT 1 FROM assets").code == 0
    world.write_card(expected_rejects={"empty_file": 1})
    assert world.build().code == 0
    world.write_card(expected_rejects={"empty_file": 1}, expects={"images": 9})
    answer = world.build()
    assert answer.code == 1
    assert "expects 9 images, met 8" in answer.stdout


def test_a_card_may_expect_what_only_reading_counts(tmp_path: Path) -> None:
    world = small_world(tmp_path, images=8)
    world.write_card(expects={"items": 8, "annotations": 23, "image": 8})
    assert world.build().code == 0
    world.write_card(expects={"annotations": 22})
    answer = world.build()
    assert answer.code == 1
    assert "expects 22 annotations, met 23" in answer.stdout
    world.write_card(expects={"boxes": 15})
    answer = world.build()
    assert answer.code == 2
    assert "'boxes' is no unit" in answer.stderr


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "0 statements"),
        ("COPY (SELECT 1) TO '{folder}/copied.csv'", "kind COPY"),
        ("ATTACH '{folder}/copied.csv' AS other", "kind ATTACH"),
        ("INSTALL httpfs", "kind LOAD"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/copied.csv'", "kind EXPLAIN"),
        ("CREATE TABLE mine AS SELECT 1", "kind CREATE"),
    ],
)
def test_a_query_only_reads_and_only_once(world: World, tmp_path: Path, sql: str, said: str) -> None:
    answer = curate("query", world.out(), sql.format(folder=tmp_path))
    assert answer.code == 2
    assert said in answer.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sql", ["SHOW TABLES;", "FROM assets LIMIT 1", "DESCRIBE pairs", "PIVOT pairs ON task USING count(*)"]
)
def test_whatever_reads_like_a_select_is_answered(world: World, sql: str) -> None:
    assert parsed("query", world.out(), sql)


def test_json_has_no_word_for_what_is_no_number(world: World) -> None:
    sql = "SELECT 'nan'::DOUBLE AS a, ['inf'::DOUBLE, 1.5] AS b, {'c': '-inf'::FLOAT} AS d, MAP {1: 'nan'::DOUBLE} AS m"
    said = curate("query", world.out(), sql, "--json").stdout
    assert "NaN" not in said
    assert "Infinity" not in said
    assert json.loads(said)[0] | {"m": None} == {"a": None, "b": [None, 1.5], "d": {"c": None}, "m": None}


def test_plan_notes_what_build_notes(world: World) -> None:
    planned = curate("plan", world.recipe, "--out", world.out()).stdout
    done = curate("build", world.recipe, "--out", world.out()).stdout
    notes = [line for line in done.splitlines() if line.startswith("note: ")]
    assert notes
    assert [line for line in planned.splitlines() if line.startswith("note: ")] == notes


def test_a_disk_that_fails_ends_a_command_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "images").mkdir()
    draw(tmp_path / "images/a.png", 1)
    answer = curate("sniff", tmp_path / "images", "-o", tmp_path / "file" / "card.yaml")
    assert answer.code == 1
    assert answer.stderr.startswith("curate: ")
    assert str(tmp_path / "file") in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_limit_takes_so_many_images_and_says_what_it_left(tmp_path: Path) -> None:
    world = small_world(tmp_path, images=8)
    assert world.build("out", "--limit", "3").code == 0
    assert parsed("query", world.out(), "SELECT count(*) AS n FROM assets") == [{"n": 3}]
    rows = parsed("rejects", world.out(), "--list")
    assert sum((row["unit"], row["reason"]) == ("image", "over_limit") for row in rows) == 5


def test_an_output_of_another_recipe_is_left_alone(world: World, tmp_path: Path) -> None:
    other = small_world(tmp_path, images=1)
    other.write_recipe(name="other")
    answer = curate("build", other.recipe, "--out", world.out())
    assert answer.code == 2
    assert "holds the corpus 'small', not 'other'" in answer.stderr


def test_one_stage_and_a_range_of_its_parts_can_be_built_alone(tmp_path: Path) -> None:
    world = small_world(tmp_path)
    assert world.build("out", "--stage", "scan").code == 0
    assert world.build("out", "--stage", "read", "--parts", "0:1").code == 0
    assert parsed("status", world.out())["complete"] is False
    assert curate("check", world.out()).code == 1
    assert "is not complete" in curate("status", world.out()).stdout
    assert curate("query", world.out(), "SELECT 1").code == 2  # no catalog yet
    early = small_world(tmp_path / "early")
    assert early.build("out", "--stage", "read").code == 1  # scan comes first
    assert world.build().code == 0
    assert early.build().code == 0
    assert tree(world.out()) == tree(early.out())


def test_why_tells_the_story_of_a_pair_an_asset_an_annotation_and_a_file(world: World) -> None:
    out = world.out()
    for table, column, kind in (
        ("pairs", "pair_id", "pair"),
        ("assets", "asset_id", "asset"),
        ("annotations", "annotation_id", "annotation"),
    ):
        key = parsed("query", out, f"SELECT {column} AS id FROM {table} ORDER BY 1 LIMIT 1")[0]["id"]
        for given in (key, key[:12]):
            story = parsed("why", out, given)
            assert (story["kind"], story["key"]) == (kind, key)
        titles = [block["block"] for block in story["blocks"]]
        assert "asset" in titles
        assert "source" in titles
        assert any(title.startswith("part read/cells") for title in titles)
    for name in ("c03", "c03.png", "images/c03.png", "./images/c03.png"):
        assert parsed("why", out, name)["kind"] == "file"
    assert parsed("why", out, "labels.csv")["blocks"][-1]["block"] == "label file"


def test_why_tells_what_became_of_a_file_that_is_not_there(test_data: Callable[[str], Path], tmp_path: Path) -> None:
    data = test_data("bccd")
    names = {line.strip() for line in (data / "BCCD/ImageSets/Main/trainval.txt").read_text().splitlines()}
    here = {path.stem for path in (data / "BCCD/JPEGImages").glob("*.jpg")}
    absent = min(names - here)
    out = tmp_path / "out"
    answer = curate("build", ROOT / "catalogs/bccd.yaml", "--data", data.parent, "--out", out, "--limit", 3)
    assert answer.code == 0, answer.text
    (block,) = parsed("why", out, absent)["blocks"]
    assert (block["block"], block["reason"], block["unit"]) == ("rejected", "missing_file", "image")
    assert parsed("why", out, min(here))["kind"] == "file"


def test_the_damaged_pictures_of_the_pillow_suite_end_no_build(
    test_data: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, out = test_data("broken-images"), tmp_path / "out"
    answer = curate("build", ROOT / "catalogs/broken-images.yaml", "--data", data.parent, "--out", out)
    assert answer.code == 0, answer.text
    assert "Traceback" not in answer.text + capfd.readouterr().err
    assert curate("check", out).code == 0


def test_names_that_only_a_shell_would_fear_are_names(tmp_path: Path) -> None:
    world = World(tmp_path / 'it\'s "here" % $HOME')
    root = world.data / "images"
    draw(root / "a 'b' ; --.png", 1)
    draw(root / "ünï.png", 2)
    write_csv(world.data / "labels.csv", ["name", "patient", "diagnosis"], [["a 'b' ; --", "p1", "healthy"]])
    write_csv(world.data / "boxes.csv", ["name", "x1", "y1", "x2", "y2", "label"], [])
    write_yaml(world.folder / "cells.yaml", CARD | {"subject": {"none": "a test"}})
    world.write_recipe()
    assert world.build().code == 0
    assert parsed("why", world.out(), "a 'b' ; --.png")["kind"] == "file"
    assert parsed("query", world.out(), "SELECT count(*) AS n FROM assets") == [{"n": 2}]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")


def test_an_interrupt_that_python_wraps_is_still_an_interrupt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Python 3.11 turns one that arrives while a class is made into a RuntimeError."""

    def wrapped(*_: object, **__: object) -> None:
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    monkeypatch.setattr("curate.status.collect", wrapped)
    answer = CliRunner().invoke(cli, ["gc", str(tmp_path)])
    assert answer.exit_code == 130
    assert "Traceback" not in answer.output


def test_an_output_that_another_build_claims_in_between_is_shared(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for a description and the look at what else is there."""

    def claimed(place: Place) -> set[str]:
        (world.out("shared") / CORPUS_FILE).write_bytes((world.out() / CORPUS_FILE).read_bytes())
        return names_in(place)

    world.out("shared").mkdir()
    monkeypatch.setattr("curate.claim.names_in", claimed)
    assert world.build("shared").code == 0
