"""Prompt packs: what ships says what it must, and what a user writes is checked before anything is asked."""

import importlib.resources
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from curate.errors import RecipeError
from curate.language.packs import Pack, load_pack
from curate.language.rewriting import first_request
from curate.recipe import Engine, Rewrite
from curate.rows import Brief
from curate.tasks import task_names
from curate.testing.scripted import brief_of
from tests.crash.small import write_yaml

PROMPTS = importlib.resources.files("curate.language").joinpath("prompts")
SHIPPED = sorted(file.name.removesuffix(".yaml") for file in PROMPTS.iterdir() if file.name.endswith(".yaml"))
OWN: dict[str, Any] = {
    "id": "own.en",
    "version": 3,
    "language": "en",
    "system": "Rewrite the data.",
    "free": "Freely.",
    "slots": "Keep the placeholders.",
    "voices": ["Briefly.", "At length."],
    "repair": "Wrong: {problem}",
}
ENGLISH = [name for name in SHIPPED if name.endswith(".en")]
"""Slots mode fills English words, so only these know it."""

FIXED = {"form", "boxes", "points", "region", "frame", "options", "letter"} | {
    "measured",
    "knowledge",
    "definition",
    "prompts",
}
"""Placeholders of coordinates and their form, which speak for themselves."""


def shipped(name: str) -> Pack:
    style, _, language = name.partition(".")
    return load_pack(style, language, ".")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_pack_is_called_as_its_file_and_speaks_in_several_voices(name: str) -> None:
    pack = shipped(name)
    assert (pack.id, pack.name) == (name, f"{name}@{pack.version}")
    assert name.endswith(f".{pack.language}")
    assert len({voice.strip() for voice in pack.voices}) == len(pack.voices) >= 4
    assert pack.version >= 1


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_pack_says_that_data_are_data_and_what_comes_back(name: str) -> None:
    pack = shipped(name)
    for mark in ("<data>", "</data>", '"question"', '"answer"', "JSON"):
        assert mark in pack.system
    assert pack.repair.count("{problem}") == 1
    assert "<data>" not in "".join(pack.voices)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_examples_of_a_shipped_pack_do_what_its_rules_ask(name: str) -> None:
    pack = shipped(name)
    assert pack.shots
    assert pack.slot_shots or name not in ENGLISH
    for shot in (*pack.shots, *pack.slot_shots):
        assert shot.data["question"] != shot.says["question"]
    for shot in pack.shots:  # in free mode nothing but coordinates stays open
        assert set(re.findall(r"\{(\w+)\}", str(shot.data))) <= FIXED
    assert all("{" in shot.data["question"] for shot in pack.slot_shots)


@pytest.mark.parametrize("name", ENGLISH)
def test_the_slots_that_tasks_use_are_those_that_a_pack_explains(name: str) -> None:
    """Every placeholder of every wording, so that no model meets one that nobody told it of."""
    wordings = importlib.resources.files("curate.tasks").joinpath("wordings")
    used: set[str] = set()
    for file in wordings.iterdir():
        if file.name.endswith(".yaml") and file.name.removesuffix(".yaml") in task_names():
            for name_of, exchange in yaml.safe_load(file.read_text("utf-8")).items():
                if name_of not in ("form", "frame"):  # sentences that fill the slots of that name
                    used |= set(re.findall(r"\{(\w+)\}", exchange["ask"][0] + exchange["tell"][0]))
    assert len(used) > 20
    pack = shipped(name)
    explained = set(re.findall(r"\{(\w+)\}", pack.slots + pack.system))
    assert used - explained - FIXED == set()


def test_the_repair_of_a_pack_and_its_rules_do_not_speak_of_the_machinery() -> None:
    for name in SHIPPED:
        pack = shipped(name)
        words = " ".join([pack.system, pack.free, pack.slots, pack.repair, *pack.voices]).lower()
        assert not re.search(r"verif|lexicon|pipeline|curate\b|template", words)


def test_a_pack_of_ones_own_lies_beside_the_recipe(tmp_path: Path) -> None:
    write_yaml(tmp_path / "styles" / "own.yaml", OWN)
    pack = load_pack("styles/own.yaml", "en", str(tmp_path))
    assert (pack.name, pack.voices, pack.shots) == ("own.en@3", ("Briefly.", "At length."), ())


def test_variants_go_through_the_voices_by_index_and_begin_again(tmp_path: Path) -> None:
    write_yaml(tmp_path / "own.yaml", OWN)
    pack = load_pack("own.yaml", "en", str(tmp_path))
    rewrite = Rewrite(model="m", completer=Engine(name="replay"), seed=40)
    brief = Brief("Is it?", "Yes.")
    bodies = [msgspec.json.decode(first_request(brief, n, rewrite, pack, None).body) for n in range(4)]
    spoken = [body["messages"][-1]["content"].splitlines()[0] for body in bodies]
    assert spoken == ["Briefly.", "At length.", "Briefly.", "At length."]
    assert [body["seed"] for body in bodies] == [40, 41, 42, 43]
    assert bodies[0]["messages"][0]["content"] == "Rewrite the data.\nFreely."


def test_examples_come_before_the_data_and_look_like_them(tmp_path: Path) -> None:
    shot = {
        "data": {"question": "Is there {a_thing}?", "answer": "No."},
        "says": {"question": "{a_thing}?", "answer": "No, none."},
    }
    write_yaml(tmp_path / "own.yaml", OWN | {"slot_shots": [shot]})
    pack = load_pack("own.yaml", "en", str(tmp_path))
    made = {}
    for mode in ("free", "slots"):
        rewrite = Rewrite(model="m", completer=Engine(name="replay"), mode=mode)
        made[mode] = msgspec.json.decode(first_request(Brief("Is it?", "Yes."), 0, rewrite, pack, None).body)
    assert [message["role"] for message in made["free"]["messages"]] == ["system", "user"]
    assert [message["role"] for message in made["slots"]["messages"]] == ["system", "user", "assistant", "user"]
    assert brief_of({"messages": made["slots"]["messages"][:2]}) == shot["data"]
    assert msgspec.json.decode(made["slots"]["messages"][2]["content"]) == shot["says"]


WRONG_SHOT = {"data": {"question": "{boxes}?", "answer": "No."}, "says": {"question": "Which?", "answer": "No."}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"voices": []}, "voices is empty"),
        ({"repair": "Once more."}, "{problem}"),
        ({"voices": None}, "voices"),
        ({"version": "new"}, "version"),
        ({"language": "de"}, "language"),
        ({"sytem": "misspelt"}, "sytem"),
        ({"shots": [WRONG_SHOT]}, "other placeholders"),
        ({"slot_shots": [WRONG_SHOT]}, "other placeholders"),
        ({"shots": [{"data": {"question": "Is it?"}, "says": {"question": "Is it?"}}]}, "question and answer"),
    ],
)
def test_a_pack_that_does_not_say_what_it_must_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    write_yaml(tmp_path / "own.yaml", {key: value for key, value in (OWN | changes).items() if value is not None})
    with pytest.raises(RecipeError, match=re.escape(said)) as caught:
        load_pack("own.yaml", "en", str(tmp_path))
    assert "own.yaml" in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a list\n", "{not: [yaml", "just words\n"])
def test_a_file_that_is_no_pack_is_a_line_and_no_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"own\.yaml"):
        load_pack("own.yaml", "en", str(tmp_path))


def test_a_pack_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"own\.yaml"):
        load_pack("own.yaml", "en", str(tmp_path))
    for name in ("poetic", "../packs", "clinical.en", ""):
        with pytest.raises(RecipeError, match=r"there are clinical.en, .*plain.en"):
            load_pack(name, "en", str(tmp_path))


def test_a_pack_of_another_language_is_refused(tmp_path: Path) -> None:
    write_yaml(tmp_path / "own.yaml", OWN)
    with pytest.raises(RecipeError, match="speaks en, the recipe asks for zh"):
        load_pack("own.yaml", "zh", str(tmp_path))
