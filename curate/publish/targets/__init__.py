"""Where releases go: a folder, a store that speaks S3, a dataset repository of the Hugging Face Hub."""

from pathlib import Path

from curate.errors import UsageError
from curate.publish.targets.base import Held, Parcel, Sent, Target, TargetError
from curate.publish.targets.folder import FolderTarget
from curate.store.place import place_of

__all__ = ["FolderTarget", "Held", "Parcel", "Sent", "Target", "TargetError", "target_of"]


def target_of(text: str, *, private: bool | None = None) -> Target:
    """The target that a command line names: a folder, `s3://BUCKET/PREFIX`, or `hf://datasets/OWNER/NAME[@BRANCH]`.

    `private` is for a repository that is not there yet.

    Raises:
        UsageError: it is none of these, or what speaks to it is not installed.
    """
    if text.startswith("hf://"):
        from curate.publish.targets.hub import hub_target

        return hub_target(text, private=private)
    if private is not None:
        raise UsageError(f"{text}: only a repository of the Hub (hf://datasets/OWNER/NAME) is made private or public")
    place = place_of(text)
    if isinstance(place, Path):
        return FolderTarget(place)
    from curate.publish.targets.s3 import StoreTarget

    return StoreTarget(place)
