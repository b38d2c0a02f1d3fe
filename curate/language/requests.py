"""Canonical requests: one OpenAI chat completion body per distinct thing to be asked, known by its sha256.

The canonical form is JSON in UTF-8 with sorted keys and no white space. `metadata` holds what shapes an answer but is
no parameter of the API (the revision of the model, the prompt pack and its version); `wire_body` leaves it out. An
image stands in the body as the URL `curate:<sha256>`, so that its digest is part of the request; it becomes a data URL
on the way out.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from curate.language.base import ImageSource, Request

__all__ = ["IMAGE_SCHEME", "canonical", "images_of", "request", "wire_body"]

IMAGE_SCHEME: Final = "curate:"


def canonical(body: Mapping[str, Any]) -> bytes:
    """The canonical form of a body."""
    return msgspec.json.encode(body, order="sorted")


def request(body: Mapping[str, Any]) -> Request:
    """The request with this body."""
    data = canonical(body)
    return Request(hashlib.sha256(data).hexdigest(), data)


def images_of(body: Mapping[str, Any]) -> Iterator[str]:
    """The digests of the images that a body names, in their order."""
    for part in _image_parts(body):
        url = str(part["image_url"]["url"])
        if url.startswith(IMAGE_SCHEME):
            yield url.removeprefix(IMAGE_SCHEME)


def wire_body(asked: Request, images: ImageSource) -> dict[str, Any]:
    """The body as a server takes it: without `metadata`, images as data URLs."""
    body: dict[str, Any] = msgspec.json.decode(asked.body)
    body.pop("metadata", None)
    for part in _image_parts(body):
        url = str(part["image_url"]["url"])
        if url.startswith(IMAGE_SCHEME):
            picture = images(url.removeprefix(IMAGE_SCHEME))
            encoded = base64.b64encode(picture.data).decode()
            part["image_url"]["url"] = f"data:{picture.media_type};base64,{encoded}"
    return body


def _image_parts(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for message in body.get("messages", ()):
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part.get("type") == "image_url":
                yield part
