"""Image tokens that are not the images', marks of a page or a protocol, remains of JSON."""

from collections.abc import Iterator, Mapping

from bench.verify.facts import Facts
from bench.verify.mutators import Change, Make
from bench.verify.rows import IMAGE_TOKEN, Draw, Row

__all__ = ["KINDS"]


def image_token_wrong(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """One token too few or too many in the question, or one in the answer."""
    prompt = row.draft.messages[0].content
    ways = (
        Change("a token for each image", prompt=prompt.replace(f"{IMAGE_TOKEN}\n", "", 1) or " "),
        Change("a token for each image", prompt=f"{IMAGE_TOKEN}\n{prompt}"),
        Change("no token in a question's middle", prompt=f"{prompt} {IMAGE_TOKEN}"),
        Change("no token in an answer", answer=f"{IMAGE_TOKEN}\n{row.answer}"),
        Change("no token in an answer", answer=f"{row.answer} {IMAGE_TOKEN}"),
        Change("no token of another kind", answer=f"{row.answer} <video>"),
        Change("no token of another kind", answer=f"<|image_pad|>{row.answer}"),
    )
    yield from draw.some("way", ways, 2)


PAGE = (
    "**{answer}**",
    "# Answer\n{answer}",
    "- {answer}",
    "```\n{answer}\n```",
    "<p>{answer}</p>",
    "**Answer:** {answer}",
    "1. {answer}",
    "> {answer}",
)
PROTOCOL = (
    '{{"answer": "{answer}"}}',
    'answer": "{answer}"',
    "<think>The label says so.</think>{answer}",
    "[INST] {answer} [/INST]",
    "<|im_start|>assistant\n{answer}<|im_end|>",
    "Answer: {answer}",
    "Assistant: {answer}",
    "{answer}</s>",
    "Sure! Here is the answer: {answer}",
    "{answer}\n\nUser: What else is seen?",
    "Q: What is seen? A: {answer}",
    "{answer} {{finding}}",
    "{answer} \\n\\n",
    "Final answer: \\boxed{{{answer}}}",
)


LETTERED = frozenset({"Answer: {answer}"})
"""How the answer of a choice may well begin."""


def _wrapped(pool: tuple[str, ...], why: str) -> Make:
    def make(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
        listed = [way for way in pool if row.asks["ask"] != "choice" or way not in LETTERED]
        for way in draw.some("way", listed, 1):
            yield Change(why, answer=way.format(answer=row.answer))

    make.__doc__ = f"The answer in a wrapping: {why}."
    return make


def doubled(row: Row, facts: Facts, draw: Draw) -> Iterator[Change]:
    """The question said again in place of an answer."""
    if row.asks["ask"] not in ("source", "choice"):
        yield Change("the answer repeats the question", answer=row.question)


KINDS: Mapping[str, Make] = {
    "image_token_wrong": image_token_wrong,
    "marks_of_a_page": _wrapped(PAGE, "marks of a page are no part of an answer"),
    "marks_of_a_protocol": _wrapped(PROTOCOL, "marks of a protocol are no part of an answer"),
    "question_repeated": doubled,
}
