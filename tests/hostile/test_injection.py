"""Instructions hidden in labels, texts and names change nothing but, at most, the wording of their own row."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.catalog import open_catalog
from curate.language.packs import Pack, load_pack
from curate.language.rewriting import first_request, read_answer, repair_request
from curate.recipe import Engine, Rewrite
from curate.rows import Brief
from curate.schema import Reason, Refusal
from curate.testing.scripted import ScriptedServer
from tests.crash.small import Said, curate, run_apart
from tests.hostile.injections import PAYLOADS, PLACES, Obedient, Payload, World, noticed, squashed, write_world

pytestmark = pytest.mark.slow

Rows = list[dict[str, Any]]
PACK = load_pack("clinical", "en", ".")
REWRITE = Rewrite(model="any", completer=Engine("openai"))
HEALTHY = re.compile(r"healthy\d[.]png$")
FIELD = re.compile(r"<data>(.*?)</data>", re.DOTALL)
CONTROL_TOKENS = re.compile(r"<[|｜/a-z]|</s>|\[/?[A-Z_]{3,}\]|<<")
"""Beginnings of the special tokens of chat templates (ChatML, Llama, Mistral, Gemma, Phi, DeepSeek, Harmony)."""
TOLD_BY_A_MODEL = ("messages", "origin", "request_id", "response_id", "checks")
"""Columns of a pair that a rewriter may change."""


class Built(msgspec.Struct):
    """One build of all places, and what its model saw and did."""

    out: Path
    said: Said
    pairs: dict[str, dict[str, Any]]
    names: dict[str, str]  # asset -> item key
    bodies: Rows
    obeyed: Counter[str]


def table(out: Path, name: str) -> Rows:
    rows: Rows = getattr(open_catalog(out), name).collect().to_dicts()
    return rows


def built(world: World, name: str, **rewrite: Any) -> Built:
    """A build of a world; without `rewrite` no model is asked."""
    model = Obedient()
    with ScriptedServer(model) as server:
        out = world.folder / name
        said = run_apart("build", world.recipe(server if rewrite else None, **rewrite), "--out", out, "-j", "2")
        bodies = server.bodies
    assert said.code == 0, said.text
    pairs = {row["pair_id"]: row for row in table(out, "pairs")}
    names = {row["asset_id"]: row["item_key"] for row in table(out, "assets")}
    return Built(out, said, pairs, names, bodies, Counter(model.obeyed))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("hostile"), PAYLOADS, hostile=True)


@pytest.fixture(scope="module")
def obeyed(hostile: World) -> Built:
    """Hostile sources and a model that obeys them."""
    return built(hostile, "obeyed", mode="free")


@pytest.fixture(scope="module")
def untold(hostile: World) -> Built:
    """Hostile sources and no model."""
    return built(hostile, "untold")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The same images with harmless words, and the same model."""
    return built(write_world(tmp_path_factory.mktemp("clean"), PAYLOADS, hostile=False), "clean", mode="free")


def healthy(found: Built) -> dict[str, dict[str, Any]]:
    """The pairs of images that nobody tampered with; the digests of shared label files left out."""
    return {
        key: {name: value for name, value in pair.items() if name != "source_sha256"}
        for key, pair in found.pairs.items()
        if all(HEALTHY.search(found.names[asset]) for asset in pair["asset_ids"])
    }


def text_of(pair: dict[str, Any]) -> str:
    return "\n".join(message["content"].removeprefix("<image>\n") for message in pair["messages"])


def test_nothing_crashes(obeyed: Built, untold: Built, clean: Built) -> None:
    for found in (obeyed, untold, clean):
        assert "Traceback" not in found.said.text
        assert {name for name in PLACES if any(pair["source"] == name for pair in found.pairs.values())} == set(PLACES)


def test_every_payload_that_a_text_can_hold_reaches_the_model(obeyed: Built) -> None:
    """Otherwise the rest of this file would prove nothing."""
    spoken = {each.id for each in PAYLOADS if not any(mark in each.text for mark in "<>{}[]\\")}
    assert spoken <= set(obeyed.obeyed)
    assert sum(obeyed.obeyed.values()) > len(spoken)


def test_every_other_row_is_that_of_a_clean_build(obeyed: Built, clean: Built) -> None:
    found = healthy(obeyed)
    assert len(found) > len(PLACES)
    assert found == healthy(clean)
    assert any(pair["origin"] == "llm" for pair in found.values())


def test_in_its_own_row_at_most_the_wording_differs(obeyed: Built, untold: Built) -> None:
    def kept(found: Built) -> dict[str, dict[str, Any]]:
        return {
            key: {name: value for name, value in pair.items() if name not in TOLD_BY_A_MODEL}
            for key, pair in found.pairs.items()
        }

    assert kept(obeyed) == kept(untold)
    for key, pair in obeyed.pairs.items():
        if pair["origin"] != "llm":
            assert pair["messages"] == untold.pairs[key]["messages"]
        else:
            assert "fail" not in pair["checks"].values()


def test_no_lie_is_published(obeyed: Built, untold: Built) -> None:
    lies = sorted({word.lower() for payload in PAYLOADS for word in payload.never})
    for key, pair in obeyed.pairs.items():
        told, template = text_of(pair).lower(), text_of(untold.pairs[key]).lower()
        assert [lie for lie in lies if lie in told and lie not in template] == [], pair["source"]


def test_the_ledger_counts_every_refused_answer(obeyed: Built) -> None:
    parts = [row for row in table(obeyed.out, "parts") if row["stage"] == "rewrite" and row["unit"] == "answer"]
    n_in, used, rejected = (sum(row[name] for row in parts) for name in ("n_in", "n_used", "n_rejected"))
    rejects = [row for row in table(obeyed.out, "rejects") if row["unit"] == "answer"]
    assert n_in == len(obeyed.bodies) == used + rejected
    assert len(rejects) == rejected
    lies = {payload.id for payload in PAYLOADS if payload.never}
    assert rejected >= sum(n for payload, n in obeyed.obeyed.items() if payload in lies) > 0


def test_what_is_printed_repeats_no_payload(obeyed: Built) -> None:
    assert noticed(obeyed.said.text) is None


def test_the_corpus_is_sound_and_explains_itself(obeyed: Built) -> None:
    said = curate("check", obeyed.out)
    assert said.code == 0, said.text
    kept = next(
        pair["pair_id"]
        for pair in obeyed.pairs.values()
        if pair["origin"] == "template"
        and pair["source"] == "classes"
        and "planted" in obeyed.names[pair["asset_ids"][0]]
    )
    said = curate("why", obeyed.out, kept)
    assert said.code == 0, said.text
    assert "refused" in said.stdout


def test_in_slots_mode_no_row_gives_the_model_anything_to_obey(tmp_path: Path) -> None:
    found = built(write_world(tmp_path, PAYLOADS[::9], hostile=True), "slots", mode="slots")
    assert found.bodies
    assert not found.obeyed
    assert [body for body in found.bodies if noticed("".join(map(str, body["messages"][1:])))] == []
    assert any(pair["origin"] == "llm" for pair in found.pairs.values())


# What goes out to a model.


def outside(message: dict[str, Any]) -> str:
    """What stands in a message beside its data field."""
    return FIELD.sub("", str(message["content"]))


def test_no_payload_leaves_its_field_in_any_request(obeyed: Built) -> None:
    fixed = [{"role": "system", "content": f"{PACK.system}\n{PACK.free}"}]
    shots = 2 * len(PACK.shots)
    for body in obeyed.bodies:
        messages = body["messages"]
        assert messages[:1] == fixed
        asked = messages[1 + shots]
        assert outside(asked).strip() in PACK.voices
        assert len(FIELD.findall(asked["content"])) == 1
        assert set(msgspec.json.decode(FIELD.findall(asked["content"])[0])) == {"question", "answer"}
        assert [message["role"] for message in messages[2 + shots :]] in ([], ["assistant", "user"])
        for told in messages[3 + shots :]:
            assert noticed(outside(told)) is None


def test_no_control_token_of_a_source_goes_out(obeyed: Built) -> None:
    """A tokeniser may take `<|im_start|>` or `[INST]` for what it looks like, wherever it stands."""
    shots = 2 * len(PACK.shots)
    for body in obeyed.bodies:
        for message in body["messages"][1 + shots :]:
            data = "".join(FIELD.findall(message["content"])) if message["role"] == "user" else message["content"]
            assert CONTROL_TOKENS.search(data) is None


def briefs(payload: Payload) -> Iterator[Brief]:
    """A payload in each slot and in the words themselves, without any task to clean it first."""
    for slot in ("thing", "noun", "boxes"):
        words = {"thing": "nodule", "noun": "chest radiograph", "boxes": "[1, 2, 3, 4]"} | {slot: payload.text}
        yield Brief("Is there a {thing} in this {noun}?", "Yes: {boxes}, a {thing}.", words, ("boxes",))
    yield Brief(payload.text.replace("{", "("), "Yes.")


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.id)
def test_a_payload_stays_in_the_data_field_whatever_it_is_made_of(payload: Payload) -> None:
    for brief in briefs(payload):
        body = msgspec.json.decode(first_request(brief, 0, REWRITE, PACK, None).body)
        content = body["messages"][-1]["content"]
        assert content.count("<data>") == content.count("</data>") == 1
        assert content.endswith("</data>")
        assert outside(body["messages"][-1]).strip() == PACK.voices[0]
        given = msgspec.json.decode(FIELD.findall(content)[0])
        open_slots = {name: words for name, words in brief.slots.items() if name not in brief.fixed}
        for key in ("question", "answer"):
            wanted = getattr(brief, key)
            for name, words in open_slots.items():
                wanted = wanted.replace(f"{{{name}}}", words, 1) if name in wanted else wanted
            assert squashed(given[key]) == squashed(wanted)
        assert CONTROL_TOKENS.search(FIELD.findall(content)[0]) is None


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.id)
def test_in_slots_mode_the_model_never_sees_a_word_of_the_source(payload: Payload) -> None:
    """The request about a hostile label is, to the byte, that about a harmless one."""
    rewrite = msgspec.structs.replace(REWRITE, mode="slots")
    harmless = {"thing": "nodule", "noun": "chest radiograph"}
    brief = Brief("Is there a {thing} in this {noun}?", "Yes, there is a {thing}.", harmless)
    tampered = msgspec.structs.replace(brief, slots=harmless | {"thing": payload.text})
    assert first_request(tampered, 0, rewrite, PACK, None) == first_request(brief, 0, rewrite, PACK, None)
    written = read_answer(
        '{"question": "Can a {thing} be seen in this {noun}?", "answer": "Yes, a {thing}."}', "stop", tampered, "slots"
    )
    assert not isinstance(written, Refusal)
    assert payload.text in written.answer


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload.id)
def test_a_repair_shows_a_refused_answer_as_no_more_than_text(payload: Payload) -> None:
    """Neither the fault that is told nor the answer that had it may open another turn."""
    brief = Brief("Is there a {thing}?", "Yes, there is a {thing}.", {"thing": payload.text})
    first = first_request(brief, 0, REWRITE, PACK, None)
    told = Refusal(Reason.LABEL_MISSING, f"the answer does not name {payload.text!r}")
    body = msgspec.json.decode(repair_request(first, payload.says, told, PACK).body)
    *before, answered, fault = body["messages"]
    assert before == msgspec.json.decode(first.body)["messages"]
    assert (answered["role"], fault["role"]) == ("assistant", "user")
    assert CONTROL_TOKENS.search(answered["content"]) is None
    assert CONTROL_TOKENS.search(outside(fault)) is None
    assert noticed(outside(fault)) is None


def pack_texts(pack: Pack) -> str:
    return " ".join((pack.system, pack.free, pack.slots, pack.repair, *pack.voices))


def test_our_own_prompts_hold_no_payload() -> None:
    """Else the obedient model would obey us, and the checks above would be about nothing."""
    for style in ("clinical", "plain"):
        assert noticed(pack_texts(load_pack(style, "en", "."))) is None


def test_there_are_payloads_of_every_kind() -> None:
    kinds = Counter(payload.kind for payload in PAYLOADS)
    assert len(PAYLOADS) == len({payload.id for payload in PAYLOADS}) >= 60
    assert min(kinds.values()) >= 2
    assert len(kinds) >= 12
