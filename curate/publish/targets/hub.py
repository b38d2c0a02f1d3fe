"""A release in a dataset repository of the Hugging Face Hub, through huggingface_hub: one atomic commit.

Large files go ahead of the commit into the repository's object store, where no reader sees them; an interrupted
publishing finds there what it sent. The token is the environment's (HF_TOKEN) or that of `hf auth login`, never an
argument.
"""

import contextlib
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curate.errors import CurateError, UsageError
from curate.publish.base import MANIFEST, File
from curate.publish.manifest import decode_manifest, encode_manifest
from curate.publish.targets.base import Held, Parcel, Sent, TargetError
from curate.publish.writing import plain_path

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["HubTarget", "hub_target"]

KIND: Final = "dataset"
MAIN: Final = "main"

OWN: Final = frozenset({".gitattributes", "README.md"})
"""What a repository may hold before anything was published to it."""

_ADDRESS: Final = re.compile(r"hf://datasets/([\w.-]+)/([\w.-]+?)(?:@([\w./-]+))?/?", re.ASCII)

_LIBRARIES: Final = frozenset({"huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "requests", "hf_xet"})


@dataclass(frozen=True, slots=True)
class _There:
    """A file of a repository: its size, and its sha256 where it is in the object store, else its git object."""

    bytes: int
    sha256: str | None
    blob: str | None


def hub_target(address: str, *, private: bool | None = None) -> "HubTarget":
    """The repository that an address names. `private`: what becomes of one that is made; null is the owner's default.

    Raises:
        UsageError: it names none, or huggingface_hub is not installed.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or ".." in address:
        raise UsageError(f"{address}: a repository is hf://datasets/OWNER/NAME, or hf://datasets/OWNER/NAME@BRANCH")
    try:
        import huggingface_hub  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError(f"{address}: install what speaks to the Hub: pip install 'medcurate[hub]'") from None
    return HubTarget(f"{found[1]}/{found[2]}", found[3] or MAIN, private)


@dataclass(frozen=True, slots=True)
class HubTarget:
    """A branch of a dataset repository. Both are made where they are not there."""

    repository: str
    branch: str = MAIN
    private: bool | None = None

    def __str__(self) -> str:
        branch = "" if self.branch == MAIN else f"@{self.branch}"
        return f"hf://datasets/{self.repository}{branch}"

    def look(self) -> Held:
        """See `Target.look`."""
        with self._errors():
            head = self._head()
            if head is None:
                return Held()
            tree = self._tree(head)
        manifest = self._read(MANIFEST, head) if MANIFEST in tree else None
        return Held(
            whole=None if manifest is None else decode_manifest(manifest, str(self)),
            other=len(tree.keys() - OWN) if manifest is None else 0,
            version=head,
        )

    def read(self, path: str) -> bytes | None:
        """See `Target.read`."""
        return self._read(path, self.branch)

    def deliver(self, parcel: Parcel, held: Held) -> Sent:
        """See `Target.deliver`: whoever committed since `held` was looked at is not overwritten."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        with self._errors():
            head = held.version or self._make()
            tree = self._tree(head)
            wanted = {file.path: file for file in parcel.files}
            absent = [file for file in parcel.files if not _same(tree.get(file.path), file, parcel.local(file.path))]
            gone = sorted(path for path in held.owned - wanted.keys() - {MANIFEST} if path in tree)
            manifest = encode_manifest(parcel.manifest)
            if not absent and not gone and held.whole == parcel.manifest:
                return Sent(kept=len(wanted))
            operations: list[Any] = [CommitOperationAdd(file.path, str(parcel.local(file.path))) for file in absent]
            operations.append(CommitOperationAdd(MANIFEST, manifest))
            operations += [CommitOperationDelete(path, is_folder=False) for path in gone]
            with _quiet():
                self._api().create_commit(
                    self.repository,
                    operations,
                    commit_message=f"Release {parcel.manifest.number} of {parcel.manifest.name}",
                    repo_type=KIND,
                    revision=self.branch,
                    parent_commit=head,
                )
        sent = sum(file.bytes for file in absent)
        return Sent(files=len(absent), bytes=sent, kept=len(wanted) - len(absent), removed=len(gone))

    def _api(self) -> "HfApi":
        from huggingface_hub import HfApi

        return HfApi(library_name="curate")

    def _head(self) -> str | None:
        """The commit on top of the branch; null where the repository or the branch is not there."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        try:
            info = self._api().repo_info(self.repository, revision=self.branch, repo_type=KIND)
        except RevisionNotFoundError:
            return None
        except RepositoryNotFoundError as problem:
            if problem.response.status_code == 404:
                return None
            raise
        return None if info.sha is None else str(info.sha)

    def _make(self) -> str:
        """The repository and the branch, and the commit on top of it."""
        api = self._api()
        api.create_repo(self.repository, repo_type=KIND, private=self.private, exist_ok=True)
        if self.branch != MAIN:
            api.create_branch(self.repository, branch=self.branch, repo_type=KIND, exist_ok=True)
        head = self._head()
        if head is None:
            raise TargetError(f"{self}: the repository was made and is not there yet; run the same command again")
        return head

    def _tree(self, head: str) -> Mapping[str, _There]:
        from huggingface_hub.hf_api import RepoFile

        return {
            one.path: _There(one.size, None if one.lfs is None else one.lfs.sha256, one.blob_id)
            for one in self._api().list_repo_tree(self.repository, recursive=True, revision=head, repo_type=KIND)
            if isinstance(one, RepoFile)
        }

    def _read(self, path: str, revision: str) -> bytes | None:
        from huggingface_hub.errors import RemoteEntryNotFoundError

        with self._errors(), _quiet(), tempfile.TemporaryDirectory(prefix="curate-hub-") as folder:
            try:
                found = self._api().hf_hub_download(
                    self.repository, plain_path(path), repo_type=KIND, revision=revision, local_dir=folder
                )
            except RemoteEntryNotFoundError:
                return None
            return Path(found).read_bytes()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """What the library raises, as an error that says what to do; a server's own words stay out of it."""
        try:
            yield
        except CurateError:
            raise
        except Exception as problem:
            foreign = type(problem).__module__.partition(".")[0] in _LIBRARIES
            if not (foreign or isinstance(problem, (OSError, ValueError, RuntimeError))):
                raise
            raise self._told(problem) from None

    def _told(self, problem: Exception) -> TargetError:
        status = getattr(getattr(problem, "response", None), "status_code", None)
        unchanged = "a reader finds the release before or the whole of this one"
        again = "then run the same command again"
        if status == 401 or type(problem).__name__ == "LocalTokenNotFoundError":
            said = "the Hub knows no such token (401)" if status else "no token was found"
            advice = f"set HF_TOKEN to one that is valid and may write, or run `hf auth login`; {again}"
            return TargetError(f"{self}: {said}; {advice}; {unchanged}", retryable=False)
        if status == 403:
            advice = f"use one with the right to write to {self.repository}, {again}"
            return TargetError(f"{self}: the token may not do this (403); {advice}; {unchanged}", retryable=False)
        if status in (409, 412):
            return TargetError(f"{self}: somebody else committed meanwhile ({status}); run the same command again")
        if status == 429:
            return TargetError(f"{self}: the Hub asks to wait (429); wait and run the same command again; {unchanged}")
        if status is not None:
            fatal = 400 <= status < 500 and status != 408
            return TargetError(
                f"{self}: the Hub answered {status}; see to it, {again}; {unchanged}", retryable=not fatal
            )
        if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES):
            return TargetError(f"{self}: {os.strerror(problem.errno)} on this machine; mend it, {again}; {unchanged}")
        if isinstance(problem, ValueError):
            return TargetError(f"{self}: the Hub or its library refused ({type(problem).__name__}); {unchanged}")
        return TargetError(
            f"{self}: the Hub cannot be reached or broke off ({type(problem).__name__}); {again}; {unchanged}"
        )


def _same(there: _There | None, file: File, local: Path) -> bool:
    """Whether a repository holds a file with the same bytes."""
    if there is None or there.bytes != file.bytes:
        return False
    if there.sha256 is not None:
        return there.sha256 == file.sha256
    return there.blob == _git_blob(local, file.bytes)


def _git_blob(path: Path, size: int) -> str:
    """The name of a file's bytes as git objects are named: SHA-1 over a header with the size, and the bytes."""
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own bars, which would stand between our lines."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
