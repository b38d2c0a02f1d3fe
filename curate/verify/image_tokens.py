"""As many image tokens as images, all at the beginning; turns alternate and none is empty."""

from typing import ClassVar

from curate.schema import Reason
from curate.verify.reading import Reading
from curate.verify.rules import ReadingRule, Verdict, no

__all__ = ["ImageTokens"]

_TOKEN = "<image>"  # noqa: S105


def _is_empty(text: str) -> bool:
    """True for a turn without a word or a number; an empty list of places is an answer."""
    return text.strip() != "[]" and not any(map(str.isalnum, text))


class ImageTokens(ReadingRule):
    """`<image>` stands once per image, one a line, before the first question, and nowhere else."""

    name: ClassVar[str] = "image_tokens"
    version: ClassVar[int] = 2

    def judge(self, reading: Reading) -> Verdict:
        """Applies to every draft."""
        messages, wanted = reading.draft.messages, len(reading.draft.asset_ids)
        roles = [message.role for message in messages]
        if not roles or len(roles) % 2 or roles != ["user", "assistant"] * (len(roles) // 2):
            return no(Reason.EMPTY_TEXT, "turns must alternate between user and assistant, beginning with the user")
        if any(_is_empty(message.content.replace(_TOKEN, "")) for message in messages):
            return no(Reason.EMPTY_TEXT, "a turn says nothing")
        found = sum(message.content.count(_TOKEN) for message in messages)
        if found != wanted or {asset.asset_id for asset in reading.facts.assets} != set(reading.draft.asset_ids):
            return no(Reason.IMAGE_TOKENS, f"{found} image tokens for {wanted} images")
        if not messages[0].content.startswith(f"{_TOKEN}\n" * wanted):
            return no(Reason.IMAGE_TOKENS, "the image tokens do not stand, one a line, at the beginning")
        return None
