"""What every training format promises; subclass `FormatContract` in the tests of a plug-in."""

from collections.abc import Callable, Mapping
from pathlib import Path

from curate.publish.base import Format, Release
from curate.publish.writing import Staging

__all__ = ["FormatContract"]


class FormatContract:
    """Tests of one format. `make` makes it anew; the fixture `release` gives rows of a built corpus."""

    @staticmethod
    def make() -> Format:
        """The format under test."""
        raise NotImplementedError

    def test_every_row_is_written_or_counted_as_left_out(self, release: Release, tmp_path: Path) -> None:
        written = self.make().write(release, Staging(tmp_path))
        assert written.format == self.make().name
        assert written.rows + sum(one.rows for one in written.left_out) == sum(release.rows_in.values())
        assert written.rows > 0

    def test_the_same_rows_give_the_same_bytes(self, release: Release, tmp_path: Path) -> None:
        first, second = (_digests(self.make, release, tmp_path / name) for name in ("a", "b"))
        assert first == second

    def test_it_writes_below_its_own_folder_and_says_how_many_rows_lie_where(
        self, release: Release, tmp_path: Path
    ) -> None:
        staging = Staging(tmp_path)
        self.make().write(release, staging)
        assert staging.files
        assert all(file.path.startswith(f"{self.make().name}/") for file in staging.files)
        assert any(file.rows for file in staging.files)

    def test_what_it_calls_its_files_it_wrote(self, release: Release, tmp_path: Path) -> None:
        staging = Staging(tmp_path)
        written = self.make().write(release, staging)
        for config in written.configs:
            for pattern in config.data_files.values():
                assert any(tmp_path.glob(pattern)), pattern


def _digests(make: Callable[[], Format], release: Release, folder: Path) -> Mapping[str, str]:
    staging = Staging(folder)
    make().write(release, staging)
    return {file.path: file.sha256 for file in staging.files}
