"""The stored bytes of single images, out of the committed files of read: for a model that is to see them."""

import threading
from collections.abc import Mapping

import pyarrow as pa

from curate.errors import StoreError
from curate.language.base import Picture
from curate.stages.base import Run
from curate.store.parquet import open_parquet
from curate.store.part import Part

__all__ = ["Pictures"]

Place = tuple[Part, str]
"""The read part that stored an image, and its asset."""


class Pictures:
    """Images by the digest of their bytes. The last row group read is kept; threads take turns."""

    def __init__(self, run: Run, places: Mapping[str, Place], media_types: Mapping[str, str]) -> None:
        self._run = run
        self._places = places
        self._media_types = media_types
        self._rows: dict[Part, dict[str, tuple[str, int, int]]] = {}  # asset -> file, row group, row
        self._last: tuple[tuple[str, int], pa.Table] | None = None
        self._turn = threading.Lock()

    def get(self, sha256: str) -> Picture:
        """The image with this digest.

        Raises:
            StoreError: no committed file holds it any more.
        """
        with self._turn:
            name, group, row = self.place(sha256)
            if self._last is None or self._last[0] != (name, group):
                table = open_parquet(self._run.out / name).read_row_group(group, columns=["image"])
                self._last = ((name, group), table)
            data: bytes = self._last[1].column("image")[row].as_py()["bytes"]
            return Picture(self._media_types[sha256], data)

    def place(self, sha256: str) -> tuple[str, int, int]:
        """File, row group and row of the image with this digest: whoever asks in this order reads each group once.

        Raises:
            StoreError: no committed file holds it any more.
        """
        part, asset_id = self._places[sha256]
        place = self._index(part).get(asset_id)
        if place is None:
            raise StoreError(f"the image of asset {asset_id} is in no committed file; build again")
        return place

    def _index(self, part: Part) -> dict[str, tuple[str, int, int]]:
        if part not in self._rows:
            rows: dict[str, tuple[str, int, int]] = {}
            for file in self._run.sidecars.need(part).of("images"):
                parquet = open_parquet(self._run.out / file.name)
                for group in range(parquet.num_row_groups):
                    ids = parquet.read_row_group(group, columns=["asset_id"]).column("asset_id").to_pylist()
                    rows |= {asset_id: (file.name, group, row) for row, asset_id in enumerate(ids)}
            self._rows[part] = rows
        return self._rows[part]
