"""The files of a dataset repository of the Hugging Face Hub at one commit, through huggingface_hub.

The library lists them and makes their addresses; they are brought as any other file is, so that they are resumed,
capped and proved alike: by the sha256 of a large file, by the git object of a small one.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from curate.card import HubRepository, check_below
from curate.errors import DataError, GateError, UsageError
from curate.fetch.transport import RefusedError, Trust, origin
from curate.layouts.globs import compile_patterns
from curate.schema import identity

__all__ = ["HubFile", "hub_trust", "list_files", "listing_key", "wanted_files"]

KIND: Final = "dataset"
MAX_FILES: Final = 1_000_000


class HubFile(msgspec.Struct, frozen=True):
    """One file of a repository, with the digest that the Hub knows of it."""

    path: str
    url: str
    bytes: int
    sha256: str | None
    git_sha1: str | None


def listing_key(hub: HubRepository, endpoint: str) -> str:
    """What a listing is kept under."""
    return identity("hub listing", endpoint, hub.repo, hub.revision)[:32]


def endpoint_of(environment: Mapping[str, str]) -> str:
    """The Hub: HF_ENDPOINT, or the public one.

    Raises:
        UsageError: the variable holds no address.
    """
    endpoint = (environment.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    try:
        origin(endpoint + "/")
    except RefusedError:
        raise UsageError("HF_ENDPOINT is no address https://HOST (or http://) without a password") from None
    return endpoint


def hub_trust(environment: Mapping[str, str], *, allow_private: bool) -> Trust:
    """What downloads from the Hub may reach. The token is the environment's HF_TOKEN."""
    endpoint = endpoint_of(environment)
    token = (environment.get("HF_TOKEN") or "").strip() or None
    named = urlsplit(endpoint).hostname or ""
    return Trust(
        frozenset({named}) if environment.get("HF_ENDPOINT") else frozenset(),
        allow_private,
        origin(endpoint + "/"),
        token,
    )


def list_files(hub: HubRepository, source: str, environment: Mapping[str, str]) -> list[HubFile]:
    """Every file of the repository at its commit, sorted by path.

    Raises:
        UsageError: huggingface_hub is not installed.
        GateError: the repository is gated, or asks for a token.
        DataError: there is no such repository or commit, no answer, or a path that is none.
    """
    try:
        from huggingface_hub import HfApi, hf_hub_url
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
        from huggingface_hub.hf_api import RepoFile
    except ModuleNotFoundError:
        raise UsageError(f"source {source}: install what speaks to the Hub: pip install 'medcurate[hub]'") from None
    where = f"source {source}: https://huggingface.co/datasets/{hub.repo} at {hub.revision}"
    endpoint = endpoint_of(environment)
    api = HfApi(endpoint=endpoint, token=hub_trust(environment, allow_private=False).token or False)
    found: list[HubFile] = []
    try:
        for one in api.list_repo_tree(hub.repo, recursive=True, revision=hub.revision, repo_type=KIND):
            if isinstance(one, RepoFile):
                url = hf_hub_url(hub.repo, one.path, repo_type=KIND, revision=hub.revision, endpoint=endpoint)
                digest = one.lfs.sha256 if one.lfs is not None else None
                found.append(HubFile(one.path, url, one.size, digest, None if digest else one.blob_id))
                if len(found) > MAX_FILES:
                    raise DataError(f"{where}: more than {MAX_FILES:,} files; narrow `allow`")
    except GatedRepoError:
        raise GateError(
            f"{where}: the repository is gated; ask for access there, then set HF_TOKEN to a token that has it"
        ) from None
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise DataError(
            f"{where}: no such repository or commit, or it is private; correct the card, or set HF_TOKEN"
        ) from None
    except DataError:
        raise
    except Exception as problem:  # the library's own errors quote what servers said
        if not type(problem).__module__.partition(".")[0].startswith(("huggingface_hub", "http", "requests")):
            raise
        raise DataError(f"{where}: its files cannot be listed ({type(problem).__name__}); try again") from None
    for file in found:
        try:
            check_below(file.path, "path")
        except ValueError:
            raise DataError(f"{where}: a file whose path does not stay below its folder; do not trust it") from None
    return sorted(found, key=lambda one: one.path)


def wanted_files(hub: HubRepository, files: list[HubFile], source: str) -> list[HubFile]:
    """Those that the card's `allow` lets through.

    Raises:
        DataError: none.
    """
    patterns = None if hub.allow is None else compile_patterns(hub.allow)
    wanted = [one for one in files if patterns is None or any(pattern.fullmatch(one.path) for pattern in patterns)]
    if not wanted:
        raise DataError(f"source {source}: none of the {len(files):,} files of {hub.repo} is among its `allow`")
    return wanted
