"""Rows of training formats, written by hand."""

from typing import Any


def asked(question: str, answer: str, image: str | None = "a.png", **more: Any) -> dict[str, Any]:
    """A LLaVA row."""
    media = {} if image is None else {"image": image}
    token = "" if image is None else "<image>\n"
    turns = [{"from": "human", "value": token + question}, {"from": "gpt", "value": answer}]
    return {**media, "conversations": turns, **more}


def preferred(question: str, chosen: str, rejected: str, image: str = "a.png") -> dict[str, Any]:
    """A row of LLaMA-Factory's ranking format."""
    return {
        "conversations": [{"from": "human", "value": f"<image>{question}"}],
        "chosen": {"from": "gpt", "value": chosen},
        "rejected": {"from": "gpt", "value": rejected},
        "images": [image],
    }
