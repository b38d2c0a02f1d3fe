"""rewrite: equal facts are asked once, what a model says is judged twice, and a lie leaves the template standing."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from curate.testing.scripted import Reply, brief_of, well
from tests.crash.small import CARD, curate, run_apart, tree, write_csv, write_yaml
from tests.stages.rewriting import Asking, Script, answers, asking, built_here, first, is_repair

TEXTS = "SELECT pair_id, messages FROM pairs ORDER BY pair_id"
OWN_ZH: dict[str, Any] = {
    "id": "own.zh",
    "version": 1,
    "language": "zh",
    "system": "用中文改写。",
    "free": "",
    "slots": "",
    "voices": ["简短。"],
    "repair": "不能用：{problem}",
}


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with built_here():
        yield


def template_texts(asked: Asking) -> list[dict[str, Any]]:
    """The texts of the same corpus without any model."""
    asked.world.write_recipe()
    assert asked.world.build("plain").code == 0
    return asked.rows(TEXTS, "plain")


def told(asked: Asking) -> dict[str, Any]:
    """What a build says of its rewriting."""
    found: dict[str, Any] = asked.done()["rewriting"]
    return found


def test_equal_facts_are_asked_once_and_served_alike(tmp_path: Path) -> None:
    with asking(tmp_path, images=8) as asked:
        said = told(asked)
        bodies = Counter(json.dumps(body, sort_keys=True) for body in asked.server.bodies)
        assert set(bodies.values()) == {1}
        assert asked.server.calls == said["requests"] == said["answers"] == said["accepted"]
        assert said["drafts"] == said["pairs"] == asked.one("SELECT count(*) FROM pairs") > said["requests"]
        # Of one request all pairs have one answer; only coordinates, which code fills in, differ.
        sql = "SELECT count(*) FROM (SELECT request_id FROM pairs WHERE task = 'count' GROUP BY request_id "
        sql += "HAVING count(DISTINCT messages) <> 1 OR count(DISTINCT response_id) <> 1)"
        assert asked.one(sql) == 0
        sql = "SELECT max(n) FROM (SELECT count(*) AS n FROM pairs WHERE task = 'count' GROUP BY request_id)"
        assert asked.one(sql) > 1
        asked.check()


def test_every_pair_in_a_models_words_says_whose_and_what_was_asked(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        asked.done()
        rows = asked.rows("SELECT p.origin, p.response_id, r.* FROM pairs p JOIN responses r USING (request_id)")
        assert rows
        assert {row["origin"] for row in rows} == {"llm"}
        assert all(row["response_id"] == row["request_id"] for row in rows)
        assert {(row["model"], row["where"], row["attempt"], row["verdict"]) for row in rows} == {
            ("scripted", "local", 1, "accepted")
        }
        questions = asked.rows("SELECT DISTINCT messages[1].content AS said FROM pairs")
        assert all(row["said"].startswith("<image>\nPlease look at the image. ") for row in questions)


def test_variants_are_other_requests_about_the_same_facts(tmp_path: Path) -> None:
    found = {}
    with asking(tmp_path, images=12) as asked:
        for variants in (1, 4):
            asked.write(variants=variants)
            found[variants] = asked.done(f"v{variants}")["rewriting"]["requests"]
            voices = {body["messages"][-1]["content"].splitlines()[0] for body in asked.server.bodies}
            assert len(voices) == variants
    assert found[1] < found[4] < 4 * found[1]


def test_differently_worded_drafts_of_one_thing_ask_for_different_voices(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        asked.write({"tasks": [{"name": "count", "variants": 3}]})
        asked.done()
        sql = (
            "SELECT min(n) FROM (SELECT count(DISTINCT request_id) AS n FROM pairs GROUP BY asset_ids, annotation_ids, "
        )
        sql += "regexp_extract(messages[2].content, 'total'), list_sort(annotation_ids) HAVING count(*) = 3)"
        assert asked.one(sql) == 3


def test_only_the_tasks_that_the_recipe_names_are_rewritten(tmp_path: Path) -> None:
    with asking(tmp_path, tasks=["count"]) as asked:
        asked.done()
        origins = asked.rows("SELECT DISTINCT task, origin, request_id IS NULL AS unasked FROM pairs ORDER BY task")
    assert [(row["task"], row["origin"], row["unasked"]) for row in origins] == [
        ("count", "llm", False),
        ("grounding", "template", True),
        ("label_caption", "template", True),
    ]


def test_text_of_a_source_is_never_rewritten(tmp_path: Path) -> None:
    with asking(tmp_path) as asked:
        rows = [["images/c00.png", "Who drew these cells?", "A random number generator drew them."]]
        write_csv(asked.world.data / "qa.csv", ["file", "question", "answer"], rows)
        qa = {
            "layout": "qa",
            "name": "qa",
            "files": "qa.csv",
            "image": "file",
            "question": "question",
            "answer": "answer",
        }
        asked.world.write_card(labels=[*CARD["labels"], qa])
        asked.write({"tasks": ["source_qa", "count"]})
        asked.done()
        sql = "SELECT origin, request_id, messages[2].content AS said FROM pairs WHERE task = 'source_qa'"
        assert asked.rows(sql) == [{"origin": "source", "request_id": None, "said": rows[0][2]}]
        assert not any("random number" in json.dumps(body) for body in asked.server.bodies)


def test_a_lie_is_told_to_the_model_once_and_its_second_answer_counts(tmp_path: Path) -> None:
    lie = answers(answer="There is a pneumothorax. {boxes}")
    with asking(tmp_path, first(lie)) as asked:
        said = told(asked)
        assert asked.server.calls == said["answers"] == 2 * said["requests"]
        assert (said["accepted"], said["pairs"]) == (said["requests"], said["drafts"])
        repairs = [body for body in asked.server.bodies if is_repair(body)]
        assert len(repairs) == said["requests"]
        for body in repairs:
            assert "pneumothorax" in body["messages"][-2]["content"]
            assert "That answer cannot be used. " in body["messages"][-1]["content"]
        for row in asked.rows("SELECT r.*, p.response_id AS served FROM responses r JOIN pairs p USING (request_id)"):
            assert row["verdict"] == ("refused" if row["attempt"] == 1 else "accepted")
            assert (row["response_id"] == row["request_id"]) == (row["attempt"] == 1)
            assert row["served"] != row["request_id"]
        assert asked.one("SELECT count(*) FROM rejects WHERE stage = 'rewrite' AND unit = 'request'") == 0
        sql = "SELECT count(*) FROM rejects WHERE stage = 'rewrite' AND unit = 'answer' AND locator = 'attempt 1'"
        assert asked.one(sql) == said["requests"] == sum(said["refused"].values())
        asked.check()


def test_a_model_that_keeps_lying_is_asked_twice_and_leaves_every_template_as_it_was(tmp_path: Path) -> None:
    with asking(tmp_path, answers(answer="There is a pneumothorax.")) as asked:
        said = told(asked)
        assert asked.server.calls == said["answers"] == 2 * said["requests"]
        assert (said["accepted"], said["pairs"]) == (0, 0)
        assert asked.rows(TEXTS) == template_texts(asked)
        assert asked.rows("SELECT DISTINCT origin, language, response_id FROM pairs") == [
            {"origin": "template", "language": "en", "response_id": None}
        ]
        assert asked.one("SELECT count(*) FROM pairs WHERE request_id IS NULL") == 0
        reasons = {row["reason"] for row in asked.rows("SELECT DISTINCT reason FROM rejects WHERE stage = 'rewrite'")}
        assert reasons <= {"label_invented", "label_missing", "slot"}
        asked.check()


LIES: dict[str, tuple[Script, str]] = {
    "a finding of its own": (answers(answer="There is 1 erythrocyte and a pneumothorax."), "label_invented"),
    "a denial": (answers(answer="There is no erythrocyte."), "negation|count|label"),
    "another number": (answers(answer="There are 23 erythrocytes."), "count|number"),
    "nothing at all": (lambda _: "", "invalid_answer"),
    "prose": (lambda _: "I am sorry, I cannot read medical images.", "invalid_answer"),
    "half an object": (lambda _: Reply(text='{"question": "How ma', finish_reason="length"), "truncated_answer"),
    "a placeholder of its own": (answers(answer="There is {n} erythrocyte."), "slot"),
    "another image": (answers(question="<image>\n<image>\nHow many erythrocytes are there?"), "image_tokens"),
    "a give-away": (
        answers(question="There is 1 erythrocyte. How many erythrocytes are there?"),
        "answer_in_question|number",
    ),
}


@pytest.mark.parametrize("kind", LIES)
def test_every_lie_is_refused_with_its_reason_and_shown_by_why(tmp_path: Path, kind: str) -> None:
    lie, reason = LIES[kind]

    def script(body: dict[str, Any]) -> str | Reply:
        return lie(body) if brief_of(body)["answer"] == "There is 1 erythrocyte." else well(body)

    with asking(tmp_path, script) as asked:
        asked.write({"tasks": ["count"]})
        said = told(asked)
        lies = asked.rows("SELECT * FROM responses WHERE verdict = 'refused' ORDER BY request_id, attempt")
        assert lies
        assert [row["attempt"] for row in lies] == [1, 2] * (len(lies) // 2)
        assert {row["reason"] for row in lies} <= set(reason.split("|")), lies
        assert said["refused"] == dict(Counter(row["reason"] for row in lies))
        served = asked.rows("SELECT pair_id, messages FROM pairs WHERE origin = 'template' ORDER BY pair_id")
        assert {row["pair_id"] for row in served} == {
            row["pair_id"]
            for row in asked.rows("SELECT pair_id FROM pairs JOIN responses USING (request_id) WHERE attempt = 2")
        }
        story = asked.why(served[0]["pair_id"])
        for part in ("answer 1: refused", "answer 2: refused", lies[0]["reason"], "<data>", "origin: template"):
            assert part in story
        asked.check()


def test_in_slots_mode_an_answer_holds_for_the_drafts_that_it_fits_and_for_no_other(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> str:
        brief = brief_of(body)
        return json.dumps(brief | {"answer": f"{brief['answer']} It shows platelets."})

    with asking(tmp_path, script, images=8) as asked:
        asked.write({"tasks": ["label_caption"]}, mode="slots", variants=1)
        said = told(asked)
        assert (said["requests"], said["accepted"], asked.server.calls) == (1, 1, 1)
        pairs = asked.rows("SELECT pair_id, origin, response_id, messages[2].content AS said FROM pairs")
        refused = {row["pair_id"] for row in pairs if row["origin"] == "template"}
        assert 0 < len(refused) < len(pairs)
        marked = "SELECT list(DISTINCT asset_id) AS marked FROM annotations WHERE concept = 'platelet'"
        sql = f"SELECT pair_id FROM pairs WHERE NOT list_has_any(asset_ids, ({marked}))"
        assert {row["pair_id"] for row in asked.rows(sql)} == refused
        reasons = asked.rows("SELECT * FROM rejects WHERE stage = 'verify' AND unit = 'answer'")
        assert {row["locator"].split()[-1] for row in reasons} == refused
        (response,) = asked.rows("SELECT response_id FROM responses")
        assert {row["item_key"] for row in reasons} == {response["response_id"]}
        assert all(row["said"].endswith("It shows platelets.") == (row["origin"] == "llm") for row in pairs)
        assert said["pairs"] == len(pairs) - len(refused)
        assert {row["reason"] for row in reasons} == {"negation"}
        assert (said["refused"], said["refused_elsewhere"]) == ({}, len(refused))
        assert "answer refused for this pair" in asked.why(min(refused))
        asked.check()


def test_in_slots_mode_more_images_of_known_shapes_cost_no_call(tmp_path: Path) -> None:
    calls = []
    for images in (6, 12):
        with asking(tmp_path / str(images), images=images, mode="slots", variants=1) as asked:
            said = told(asked)
            assert said["pairs"] == said["drafts"]
            calls.append(asked.server.calls)
            assert not any("erythrocyte" in body["messages"][-1]["content"] for body in asked.server.bodies)
            texts = asked.rows("SELECT messages[1].content || messages[2].content AS said FROM pairs")
            assert not any("{" in row["said"] for row in texts)
    assert calls[0] == calls[1] < 10


@pytest.mark.parametrize(
    "botch",
    [
        lambda text: text.replace("{things}", "things"),
        lambda text: text.replace("{things}", "{things} {things}"),
        lambda text: f"{text} {{n}}",
        lambda text: text.replace("{things}", "{{things}}"),
    ],
    ids=["lost", "doubled", "invented", "wrapped"],
)
def test_a_botched_placeholder_is_repaired_and_else_the_template_stands(tmp_path: Path, botch: Any) -> None:
    def script(body: dict[str, Any]) -> str:
        brief = brief_of(body)
        return json.dumps(brief | {"question": botch(brief["question"])})

    counts = {}
    for name, model in (("once", first(script)), ("always", script)):
        with asking(tmp_path / name, model, images=6) as asked:
            asked.write({"tasks": ["count"]}, mode="slots", variants=1)
            said = told(asked)
            counts[name] = (said["pairs"], said["drafts"], asked.server.calls)
            assert said["refused"].keys() == {"slot"}
            for row in asked.rows("SELECT messages[1].content AS said FROM pairs"):
                assert "{" not in row["said"]
    pairs, drafts, calls = counts["once"]
    assert pairs == drafts
    assert counts["always"][0] < drafts
    assert counts["always"][2] == calls


def test_a_name_of_braces_is_spoken_by_nobody_and_sent_to_nobody(tmp_path: Path) -> None:
    """Were it ever spoken, it would be words: see `tests/language/test_rewriting.py`."""
    with asking(tmp_path) as asked:
        concepts = {"anaemia": "stage {n} {boxes} anaemia", "healthy": "</data> no {} abnormality"}
        asked.world.write_card(labels=[CARD["labels"][0] | {"concepts": concepts}, CARD["labels"][1]])
        asked.write({"tasks": ["label_caption", "closed_vqa", "open_vqa"]})
        asked.done()
        for said in (asked.rows(TEXTS), asked.server.bodies):
            assert said
            assert "abnormality" not in json.dumps(said)
            assert "anaemia" not in json.dumps(said)


def test_a_draft_of_which_not_even_the_template_holds_spoils_nobody_elses_wording(tmp_path: Path) -> None:
    """The witness of a shape is one of its drafts: a label that denies itself would cost all others theirs."""
    spoilt = 0
    for number in range(4):
        with asking(tmp_path / str(number)) as asked:
            path = asked.world.data / "boxes.csv"
            path.write_text(f"{path.read_text()}c0{number},20,3,25,9,no erythrocytes\n")
            asked.write({"tasks": ["count"], "limits": {"rejects": 1}}, mode="slots", variants=1)
            asked.done()
            kept = asked.rows("SELECT origin, response_id FROM pairs")
            assert {row["origin"] for row in kept} == {"llm"}
            lost = asked.rows("SELECT unit, split_part(locator, ' ', 2) AS draft FROM rejects WHERE stage = 'verify'")
            assert {row["unit"] for row in lost} == {"answer", "draft"}
            drafts = [row["draft"] for row in lost if row["unit"] == "draft"]
            shapes = asked.rows("SELECT min(pair_id) AS smallest FROM pairs GROUP BY request_id")
            spoilt += any(draft < row["smallest"] for draft in drafts for row in shapes)
    assert spoilt  # the hostile draft was the witness at least once


def test_a_model_that_refuses_is_believed_and_never_asked_again(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> str | Reply:
        if "How many leukocytes" in str(body["messages"][-1]["content"]):
            return Reply(status=400, body={"error": {"code": "content_policy_violation", "message": "no"}})
        return well(body)

    with asking(tmp_path, script) as asked:
        said = told(asked)
        rows = asked.rows("SELECT * FROM responses WHERE text IS NULL")
        assert rows
        assert {(row["attempt"], row["verdict"], row["reason"]) for row in rows} == {(1, "refused", "model_refused")}
        assert said["refused"] == {"model_refused": len(rows)}
        assert said["answers"] == said["requests"] == asked.server.calls
        calls = asked.server.calls
        assert asked.done("again", "--answers", str(asked.store.parent))["rewriting"] == said
        assert asked.server.calls == calls
        assert tree(asked.world.out("again")) == tree(asked.world.out())
        asked.check()


def test_the_numbers_that_are_printed_are_those_of_the_tables(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> str | Reply:
        asked_for = str(brief_of(body)["answer"])
        if "leukocyte" in asked_for:
            return answers(answer="There is a pneumothorax.")(body)
        return answers(answer="Nothing.")(body) if "platelet" in asked_for and not is_repair(body) else well(body)

    with asking(tmp_path, script, images=8) as asked:
        said = told(asked)
        assert said == {
            "drafts": asked.one("SELECT count(*) FROM pairs WHERE request_id IS NOT NULL"),
            "requests": asked.one("SELECT count(DISTINCT request_id) FROM responses"),
            "answers": asked.one("SELECT count(*) FROM responses"),
            "accepted": asked.one("SELECT count(*) FROM responses WHERE verdict = 'accepted'"),
            "pairs": asked.one("SELECT count(*) FROM pairs WHERE origin = 'llm'"),
            "prompt_tokens": asked.one("SELECT sum(prompt_tokens)::BIGINT FROM responses"),
            "completion_tokens": asked.one("SELECT sum(completion_tokens)::BIGINT FROM responses"),
            "refused": {
                row["reason"]: row["n"]
                for row in asked.rows(
                    "SELECT reason, count(*) AS n FROM responses WHERE verdict = 'refused' GROUP BY reason"
                )
            },
            "refused_elsewhere": asked.one("SELECT count(*) FROM rejects WHERE stage = 'verify' AND unit = 'answer'"),
        }
        assert said["answers"] == len(asked.server.asked)
        assert 0 < said["accepted"] < said["requests"] < said["answers"]
        parts = asked.rows("SELECT * FROM parts WHERE stage = 'rewrite' ORDER BY unit")
        assert [(row["unit"], row["n_in"], row["n_used"]) for row in parts] == [
            ("answer", said["answers"], said["accepted"]),
            ("request", said["requests"], said["accepted"]),
        ]
        text = asked.build().stdout
        saved = 1 - said["requests"] / said["drafts"]
        assert f"rewrite: {said['drafts']} drafts asked {said['requests']} distinct requests ({saved:.0%}" in text
        assert f"rewrite: {said['pairs']} pairs in the model's words, the others in those of their template" in text
        assert f"did not hold for one more draft: {said['refused_elsewhere']}" in text
        asked.check()


def test_why_tells_a_request_with_its_prompt_answers_and_pairs(tmp_path: Path) -> None:
    with asking(tmp_path, first(answers(answer="There is a pneumothorax."))) as asked:
        asked.write({"tasks": ["count"]})
        asked.done()
        (row, *_) = asked.rows("SELECT request_id, response_id FROM responses WHERE attempt = 2 ORDER BY request_id")
        pairs = asked.rows(f"SELECT pair_id FROM pairs WHERE request_id = '{row['request_id']}'")
        story = json.loads(curate("why", asked.world.out(), row["request_id"][:12], "--json").stdout)
        assert story["kind"] == "request"
        blocks = {block["block"]: block for block in story["blocks"]}
        assert {"request", "answer 1: refused", "answer 2: accepted", "pairs that asked it"} <= blocks.keys()
        assert "<data>" in blocks["request"]["asked"]
        assert "You rewrite training data" in blocks["request"]["instructions"]
        assert blocks["answer 2: accepted"]["response_id"] == row["response_id"]
        assert blocks["pairs that asked it"]["in all"] == len(pairs)
        assert all(pair["pair_id"] in blocks["pairs that asked it"] for pair in pairs)


def test_a_picture_goes_along_where_there_is_one_and_the_recipe_says_so(tmp_path: Path) -> None:
    with asking(tmp_path, see_image=True) as asked:
        asked.done()
        sent = Counter(url for body in asked.server.bodies for url in urls(body))
        known = {
            "data:image/png;base64," + b64encode(path.read_bytes()).decode()
            for path in (asked.world.data / "images").iterdir()
        }
        assert set(sent) == known
        assert sum(sent.values()) == asked.server.calls
        # Each request shows the image of the pairs that it serves.
        stored = {
            row["asset_id"]: row["image_sha256"] for row in asked.rows("SELECT asset_id, image_sha256 FROM assets")
        }
        served = asked.rows("SELECT request_id, asset_ids FROM pairs")
        by_request: dict[str, set[str]] = {}
        for row in served:
            by_request.setdefault(row["request_id"], set()).update(stored[key] for key in row["asset_ids"])
        assert all(len(images) == 1 for images in by_request.values())
        asked.check()


def urls(body: dict[str, Any]) -> list[str]:
    content = body["messages"][-1]["content"]
    parts = content if isinstance(content, list) else []
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def test_another_language_is_asked_for_and_what_fails_stays_english(tmp_path: Path) -> None:
    """The words of a pack of one's own; whether a text is Chinese is judged by `verify`."""

    def script(body: dict[str, Any]) -> str:
        brief = brief_of(body)
        return json.dumps({"question": "图像中有什么？", "answer": brief["answer"]}, ensure_ascii=False)

    with asking(tmp_path, script) as asked:
        write_yaml(tmp_path / "own.yaml", OWN_ZH)
        asked.write({"tasks": ["count", "grounding"]}, language="zh", style="own.yaml")
        asked.done()
        rows = asked.rows("SELECT DISTINCT origin, language FROM pairs")
        assert all(row["language"] == ("zh" if row["origin"] == "llm" else "en") for row in rows)
        assert {row["origin"] for row in rows} >= {"template"}
        asked.check()


def test_workers_locale_hash_seed_and_folder_leave_no_trace(tmp_path: Path) -> None:
    lie = answers(answer="There is a pneumothorax.")
    with asking(tmp_path, first(lie), images=8) as asked:
        asked.done()
        environment = {"LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "7", "TZ": "Pacific/Kiritimati"}
        out = asked.world.out("abroad")
        said = run_apart("build", asked.world.recipe, "--out", out, "-j", "2", environment=environment, folder=tmp_path)
        assert said.code == 0, said.text
        assert tree(out) == tree(asked.world.out())
        assert requests_in(tmp_path / "abroad.answers" / "answers.jsonl") == requests_in(asked.store)


def requests_in(store: Path) -> set[str]:
    return {msgspec.json.decode(line)["answer"]["request_id"] for line in store.read_bytes().splitlines()}
