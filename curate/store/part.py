"""What a part is, and the sidecar that makes it exist."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from curate.card import Struct
from curate.errors import StoreError
from curate.schema import identity

__all__ = [
    "SIDECAR_FOLDER",
    "TEMPORARY_PREFIX",
    "WHOLE",
    "Count",
    "OutputFile",
    "Part",
    "Sidecar",
    "Sidecars",
    "decode_sidecar",
    "differences",
    "encode_sidecar",
    "sealed",
    "unsealed",
]

WHOLE: Final = "*"
"""The source of a part that speaks of the whole corpus."""

SIDECAR_FOLDER: Final = "parts"

TEMPORARY_PREFIX: Final = ".tmp-"
"""How a file's name begins before it is committed: what a killed build leaves, and `gc` removes."""


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A pure function's place: its stage, its source (or the whole corpus), its bucket (or the whole source)."""

    stage: str
    source: str = WHOLE
    bucket: int | None = None

    @property
    def part_id(self) -> str:
        """sha256 of stage, source and bucket."""
        return identity(self.stage, self.source, self.bucket)

    @property
    def folder(self) -> str:
        """The folder name that stands for the source."""
        return "_whole" if self.source == WHOLE else self.source

    @property
    def stem(self) -> str:
        """The file name that stands for the bucket."""
        return "all" if self.bucket is None else f"{self.bucket:05d}"

    @property
    def sidecar_path(self) -> str:
        """Below the output folder."""
        return f"{SIDECAR_FOLDER}/{self.stage}/{self.folder}/{self.stem}.json"

    def __str__(self) -> str:
        return f"{self.stage}/{self.source}" + ("" if self.bucket is None else f"/{self.bucket}")


class OutputFile(Struct, frozen=True):
    """One committed file, or one committed tree: then `sha256` is that of its listing and `rows` counts its files."""

    table: str
    bucket: int | None  # of the rows within; scan writes one inventory per bucket
    name: str  # below the output folder
    sha256: str
    bytes: int
    rows: int


class Count(Struct, frozen=True):
    """One line of the ledger."""

    unit: str
    n_in: int
    n_used: int
    n_rejected: int = 0
    n_filtered: int = 0

    @property
    def balances(self) -> bool:
        """The conservation law."""
        return self.n_in == self.n_used + self.n_rejected + self.n_filtered


class Sidecar(Struct, frozen=True):
    """What one part was made from, what it holds, and what became of its input. No clock, no host.

    On disk it is sealed: see `sealed`.
    """

    stage: str
    source: str
    bucket: int | None
    fingerprint: dict[str, str]
    inputs: dict[str, str]
    files: tuple[OutputFile, ...] = ()
    counts: tuple[Count, ...] = ()
    refusals: dict[str, dict[str, dict[str, int]]] = {}  # unit -> verdict -> reason -> rows in rejects
    emitted: dict[str, int] = {}
    statistics: dict[str, Any] = {}

    @property
    def part(self) -> Part:
        """Whose sidecar this is."""
        return Part(self.stage, self.source, self.bucket)

    def of(self, table: str) -> list[OutputFile]:
        """The committed files of one table."""
        return [file for file in self.files if file.table == table]

    def digest(self, table: str, bucket: int | None = None) -> str:
        """The digest of one table's files, or of its one bucket; the digest of nothing where there is none."""
        chosen = [file for file in self.of(table) if bucket is None or file.bucket == bucket]
        return identity(*(f"{file.bucket}:{file.sha256}" for file in chosen))


class Sidecars:
    """The sidecars of one output folder, each read at most once."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._read: dict[Part, Sidecar | None] = {}

    def get(self, part: Part) -> Sidecar | None:
        """The sidecar of a part, or null where the part does not exist.

        Raises:
            StoreError: the file is there but is no sidecar.
        """
        if part not in self._read:
            self._read[part] = _load(self.out / part.sidecar_path)
        return self._read[part]

    def need(self, part: Part) -> Sidecar:
        """The sidecar of a part that must exist."""
        sidecar = self.get(part)
        if sidecar is None:
            raise StoreError(f"part {part} is not built; run the build again from its first stage")
        return sidecar

    def put(self, sidecar: Sidecar) -> None:
        """Remember what was just committed."""
        self._read[sidecar.part] = sidecar

    def forget(self, part: Part) -> None:
        """Read the part's sidecar again when it is next asked for."""
        self._read.pop(part, None)

    def listed(self, stage: str | None = None) -> list[Sidecar]:
        """Every sidecar on disk, of one stage or of all, in the order of their parts."""
        base = self.out / SIDECAR_FOLDER / (stage or "")
        found = [_load(path) for path in sorted(base.rglob("*.json"))]
        return sorted((sidecar for sidecar in found if sidecar is not None), key=_order)


def _order(sidecar: Sidecar) -> tuple[str, str, int]:
    return (sidecar.stage, sidecar.source, -1 if sidecar.bucket is None else sidecar.bucket)


def _load(path: Path) -> Sidecar | None:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise StoreError(
            f"cannot read {path}: {problem.strerror}; fix the rights, then run the command again"
        ) from None
    try:
        return decode_sidecar(data)
    except ValueError as problem:
        raise StoreError(f"{path} is damaged ({problem}); remove it and build again") from None


def encode_sidecar(sidecar: Sidecar) -> bytes:
    """The bytes of a sidecar, sealed."""
    return sealed(msgspec.to_builtins(sidecar))


def decode_sidecar(data: bytes) -> Sidecar:
    """The sidecar in some bytes.

    Raises:
        ValueError: they are no sidecar, or not the bytes that were written.
    """
    return msgspec.convert(unsealed(data), Sidecar)


def sealed(values: dict[str, Any]) -> bytes:
    """A JSON document that holds the sha256 of itself without it: a file that nothing else names proves itself."""
    return _formatted(values | {"sha256": hashlib.sha256(_formatted(values)).hexdigest()})


def unsealed(data: bytes) -> dict[str, Any]:
    """The values of a sealed document.

    Raises:
        ValueError: it is not JSON, or any of its bytes is not as written.
    """
    values = msgspec.json.decode(data)
    if not isinstance(values, dict) or "sha256" not in values:
        raise ValueError("it does not hold its own sha256")
    said = values.pop("sha256")
    if sealed(values) != data:
        raise ValueError(f"it was altered after it was written: its contents do not give the sha256 {str(said)[:12]}…")
    return values


def _formatted(values: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(values, order="sorted"))


def differences(sidecar: Sidecar, fingerprint: dict[str, str], inputs: dict[str, str]) -> list[str]:
    """Why a part is stale, field by field; empty where it is current."""
    reasons = []
    for what, then, now in (("", sidecar.fingerprint, fingerprint), ("input ", sidecar.inputs, inputs)):
        for key in sorted(then.keys() | now.keys()):
            if then.get(key) == now.get(key):
                continue
            if key not in then:
                reasons.append(f"{what}{key} is new")
            elif key not in now:
                reasons.append(f"{what}{key} is gone")
            else:
                reasons.append(f"{what}{key} changed: {_short(then[key])} -> {_short(now[key])}")
    return reasons


def _short(value: str) -> str:
    return value if len(value) <= 40 else value[:12] + "…"
