"""What a model wrote is read wherever it can be read in one way alone, and never otherwise."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.language.answers import MAX_CHARACTERS, Fault, Unreadable, read_object

KEYS = ("question", "answer")
SAID = {"question": "Is there a pleural effusion?", "answer": "Yes, on the left; 12 mm."}
OBJECT = json.dumps(SAID)


def faulty(kind: Fault) -> Unreadable:
    return Unreadable(kind)


@pytest.mark.parametrize(
    "text",
    [
        OBJECT,
        json.dumps(SAID, indent=2),
        f"\ufeff \n{OBJECT}\n",
        f"Here is the rewritten pair:\n\n```json\n{OBJECT}\n```\nLet me know if it should be shorter!",
        f"```\n{OBJECT}",
        f"Using {{finding}} and {{side}} as asked: {OBJECT}",
        f"<think>Maybe {{'question': 'x', 'answer': 'y'}}? No.</think>\n{OBJECT}",
        f"The user wants two keys.\n</think>\n\n{OBJECT}",
        f'[THINK]{{"question": "x"[/THINK]{OBJECT}',
        f'{{"result": {OBJECT}}}',
        f"[{OBJECT}]",
        f'{{"thoughts": "fine", "output": [{OBJECT}], "n": 1}}',
        json.dumps(OBJECT),
        f'{{"question": "A first try", "answer": "x"}}\nBetter:\n{OBJECT}',
        OBJECT.replace("question", "Question").replace("answer", " ANSWER "),
        OBJECT.replace('{"', '{"note": [1, true, {"a": null}], "'),
        OBJECT[:-1] + ",}",
        OBJECT[:-1],
        OBJECT[:-1] + ', "comment": "I chose the wor',
        repr(SAID),
        "{question: 'Is there a pleural effusion?', answer: 'Yes, on the left; 12 mm.'}",
        "{“question”: “Is there a pleural effusion?”, “answer”: “Yes, on the left; 12 mm.”}",
        OBJECT.replace('", "', '"\n  "'),
        OBJECT.replace(",", "，", 1).replace('":', '"：'),
    ],
)
def test_one_object_is_found_in_every_wrapping(text: str) -> None:
    assert read_object(text, KEYS) == SAID


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ('He calls it a "mass", and so do we.', 'He calls it a "mass", and so do we.'),
        ('The "mass"', 'The "mass"'),
        ("first line\nsecond\tline", "first line\nsecond\tline"),
        ("a\x01b\x1bc\x00d", "abcd"),
        (r"50\% of \alpha", r"50\% of \alpha"),
        (r"caf\u00e9 \"x\" \/ \ud83e\ude7b", 'café "x" / 🩻'),
        (r"half \ud83e an emoji", "half � an emoji"),
        ("the patient's left", "the patient's left"),
        ("{side} and {n_things}", "{side} and {n_things}"),
        ("</think>", "</think>"),
    ],
)
def test_what_stands_unescaped_in_a_string_is_text(answer: str, read: str) -> None:
    assert read_object(f'{{"question": "What?", "answer": "{answer}"}}', KEYS) == {"question": "What?", "answer": read}


def test_an_apostrophe_in_python_quotes_is_text() -> None:
    assert read_object("{'question': 'What is the patient's finding?', 'answer': 'It's a mass.'}", KEYS) == {
        "question": "What is the patient's finding?",
        "answer": "It's a mass.",
    }


def test_numbers_are_given_as_they_are_written() -> None:
    assert read_object('{"question": 12, "answer": 3.50}', KEYS) == {"question": "12", "answer": "3.50"}
    assert read_object("{'question': -1, 'answer': 1e-3,}", KEYS) == {"question": "-1", "answer": "1e-3"}
    huge = "9" * 5000
    assert read_object(f'{{"answer": {huge}}}', ["answer"]) == {"answer": huge}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", Fault.EMPTY),
        (" \n\x00", Fault.EMPTY),
        ("<think>and so on</think>", Fault.EMPTY),
        ('{"question": "What?", "answer": " "}', Fault.EMPTY),
        ("I cannot help with that.", Fault.NO_OBJECT),
        ("Use {finding} here.", Fault.NO_OBJECT),
        ('{"question": "What?"}', Fault.MISSING_KEY),
        ('Sure: {"question": "What?"} is all.', Fault.MISSING_KEY),
        ('{"question": "What?", "answer": null}', Fault.NOT_TEXT),
        ('{"question": "What?", "answer": ["a"]}', Fault.NOT_TEXT),
        ("{'question': 'What?', 'answer': True}", Fault.NOT_TEXT),
        ('{"question": "What?", "answer": NaN}', Fault.NOT_TEXT),
        ("x" * (MAX_CHARACTERS + 1), Fault.TOO_LARGE),
        (f"<think>{OBJECT} or better", Fault.TRUNCATED),
        ('{"question": "What?", "answer": "No pleural effus', Fault.TRUNCATED),
        ('```json\n{"question": "What?", "answer": "No', Fault.TRUNCATED),
        ('{"question": "What?", "answer": 1', Fault.TRUNCATED),
        ('{"question": "What?", "ans', Fault.TRUNCATED),
        ('{"question": "What?"', Fault.TRUNCATED),
        ("{", Fault.TRUNCATED),
        ('{"example": {"question": "a", "answer": "b"}, "question": "real", "answer": "to', Fault.TRUNCATED),
        ('{"question": "What?", "answer": "No.", "answer": "Yes."}', Fault.UNCLEAR),
        ("{'question': 'What?', 'answer': 'No.', 'answer': 'Yes.'}", Fault.UNCLEAR),
        ('{"question": "Say "x", "y": "z", "answer": "No."}', Fault.UNCLEAR),
        ('{"question": "see {"question": "a", "answer": "b"}', Fault.UNCLEAR),
    ],
)
def test_what_cannot_be_read_in_one_way_says_why(text: str, fault: Fault) -> None:
    assert read_object(text, KEYS) == faulty(fault)


def test_a_key_that_stands_there_twice_with_one_value_is_no_contradiction() -> None:
    assert read_object('{"answer": "No.", "answer": "No."}', ["answer"]) == {"answer": "No."}


@settings(deadline=None)
@given(st.text(max_size=300), st.lists(st.text(max_size=8), max_size=4))
def test_no_text_makes_the_reader_raise(text: str, keys: list[str]) -> None:
    assert isinstance(read_object(text, keys), dict | Unreadable)


PIECES = ["{", "}", "[", "]", '"', "'", ":", ",", "\\", "\\u", "\n", " ", "question", "answer", "a", "1", "“", "”"]
PIECES += ["```json", "<think>", "</think>", '"question"', '"answer": "b"', "null", "\ud800", "\x00", "，", OBJECT]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_no_shards_of_json_make_the_reader_raise_or_give_other_keys(text: str) -> None:
    found = read_object(text, KEYS)
    assert isinstance(found, Unreadable) or tuple(found) == KEYS


PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60).filter(
    lambda text: text == text.strip() and "\ufeff" not in text
)


@settings(max_examples=200, deadline=None)
@given(PLAIN, PLAIN, st.booleans(), st.sampled_from(["", "Here it is:\n", "```json\n", "{finding}: "]))
def test_every_object_of_strings_comes_back_as_it_was(question: str, answer: str, ascii_: bool, before: str) -> None:
    said = {"question": question, "answer": answer}
    assert read_object(before + json.dumps(said, ensure_ascii=ascii_, indent=1 if ascii_ else None), KEYS) == said


@settings(max_examples=200, deadline=None)
@given(PLAIN, PLAIN, st.integers(1, 200))
def test_a_cut_object_gives_the_truth_or_nothing(question: str, answer: str, cut: int) -> None:
    """However the text of a well-formed object is cut, no half value is ever taken for a whole one."""
    said = {"question": question, "answer": answer}
    for text in (json.dumps(said), json.dumps(said, ensure_ascii=False), repr(said)):
        found = read_object(text[: max(0, len(text) - cut)], KEYS)
        assert found == said or isinstance(found, Unreadable)


@pytest.mark.parametrize(
    "piece",
    ["{", "[{", '{"', '{"a":', '{"a":"', "{'a':'", '{"answer": "', '",', '"  ,', "\\", "{a:", '{"a":[', "<think>", "“"],
)
@pytest.mark.parametrize("begin", ["", "x", '{"question": "'])
def test_time_grows_with_the_text_alone(piece: str, begin: str) -> None:
    def seconds(length: int) -> float:
        text = begin + piece * (length // len(piece))
        tries = []
        for _ in range(3):
            started = time.process_time()
            assert isinstance(read_object(text, KEYS), Unreadable)
            tries.append(time.process_time() - started)
        return min(tries)

    assert seconds(32_000) < 32 * max(seconds(4_000), 0.005), "eight times the text takes far more than eight times"


def test_a_sea_of_brackets_is_no_recursion_error() -> None:
    started = time.process_time()
    for text in ("[" * MAX_CHARACTERS, '{"a":' * 50_000, "{'a':[" * 40_000):
        assert isinstance(read_object(text, KEYS), Unreadable)
    assert read_object("[" * 100_000 + OBJECT, KEYS) == SAID
    assert time.process_time() - started < 30, "without a limit on its steps it takes hours"


def test_published_replies_are_prose_and_what_follows_them_is_found(test_data: Callable[[str], Path]) -> None:
    """VILA-M3 asked a model for question-answer pairs and published what it wrote: lists, bold type, code names."""
    folder = test_data("seed-records") / "vila-m3" / "m3" / "data_prepare" / "experts" / "llama_output"
    replies = [row["reply"] for path in sorted(folder.glob("*.json")) for row in json.loads(path.read_text())]
    assert len(replies) == 15
    for reply in replies:
        assert read_object(reply, KEYS) == faulty(Fault.NO_OBJECT)
        assert read_object(f"{reply}\n\n{OBJECT}\n\n{reply}", KEYS) == SAID
        quoted: Any = {"question": reply, "answer": reply}
        assert read_object(f"{reply}\n{json.dumps(quoted)}", KEYS) == {key: reply.strip() for key in KEYS}
