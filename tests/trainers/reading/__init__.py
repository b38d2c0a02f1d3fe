"""Programs that read a release with a trainer's own code, in the environment of `make test-trainers`.

Each is started as `python -m tests.trainers.reading.<name> MODEL RELEASE` and imports nothing of this package's. The
last line that it prints is `READ` and what the trainer made of the rows, as JSON.
"""

import json
from typing import Any

__all__ = ["plain", "tell"]

_SHOWN = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def plain(text: str) -> str:
    """A decoded text without the tokens that stand for pictures, whose number is their size."""
    for token in _SHOWN:
        text = text.replace(token, "")
    return text


def tell(read: Any) -> None:
    """Print it."""
    print("READ" + json.dumps(read))
