"""A short request of the same shape: when a server refuses a request, it tells whether it would refuse every one.

Without it, a parameter that the server does not take would be written down as the refusal of each request.
"""

import base64
import io
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

__all__ = ["has_images", "probe_of"]

SHORT: Final = "Answer with a JSON object in which every value is the word yes."
SIDE_PX: Final = 64
"""Of the picture that goes along: enough for the patches of every vision model, and little to read."""


def probe_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with nothing of its messages left but whether there is an image."""
    content: Any = SHORT
    if has_images(body):
        content = [{"type": "text", "text": SHORT}, {"type": "image_url", "image_url": {"url": _grey()}}]
    return {**body, "messages": [{"role": "user", "content": content}]}


def has_images(body: Mapping[str, Any]) -> bool:
    """True where an image goes along."""
    contents = [message.get("content") for message in body.get("messages", ())]
    return any(part.get("type") == "image_url" for found in contents if isinstance(found, list) for part in found)


@cache
def _grey() -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (SIDE_PX, SIDE_PX), 128).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
