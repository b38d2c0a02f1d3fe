"""What a person is told where answers of a language model are missing or lost, and what to do about it."""

from pathlib import Path

from curate.language.base import Trouble, UnansweredError
from curate.store.answers import ANSWERS_FILE

__all__ = ["damage_note", "what_to_do"]


def what_to_do(problem: UnansweredError, store: Path, damaged: int) -> str:
    """What is the matter with requests without an answer, and what to do; `damaged` lines of the store are lost."""
    if Trouble.NOT_STORED in problem.troubles:
        n = problem.troubles[Trouble.NOT_STORED]
        why = f" ({damage_note(store, damaged)})" if damaged else ""
        return (
            f"replay: {n:,} answers are not in the store {store}{why}; build with an engine, or name another --answers"
        )
    if Trouble.NOT_YET in problem.troubles:
        return (
            f"{problem}. Have each file answered (`vllm run-batch`, or a vendor's batch API), put the answers beside "
            "it as any .jsonl, and run the same command again"
        )
    return f"{problem}; what was answered is stored in {store}: run the same command again to ask for the rest"


def damage_note(store: Path, damaged: int) -> str:
    """How many lines of a store are damaged."""
    return f"{damaged:,} lines of {store / ANSWERS_FILE} are damaged and count as answers that are not there"
