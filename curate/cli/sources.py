"""Commands that look at the installation and at sources."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from curate import printing
from curate.cli.command import FOLDER, command, data_folder
from curate.errors import UsageError

if TYPE_CHECKING:
    from curate.card import Card


@command
def doctor(out: printing.Printer) -> int:
    """What is installed, what is missing, and one line of remedy each."""
    from curate.doctor import examine

    return out.doctor(examine(Path.cwd()))


def _card(text: str) -> "Card":
    """The card of a file, or of an id among the catalogs at hand."""
    from curate.card import load_card
    from curate.corpus import catalog_folders

    if text.endswith((".yaml", ".yml")):
        return load_card(Path(text))
    paths = [folder / f"{text}.yaml" for folder in catalog_folders()] if Path(text).name == text else []
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise UsageError(f"no card {text!r}; `curate sources` lists them, or name a card's file (*.yaml)")
    return load_card(found)


@command
@click.argument("words", metavar="[show ID]", nargs=-1)
def sources(out: printing.Printer, words: tuple[str, ...]) -> int:
    """The cards at hand; with an ID or a card's file, that card in full."""
    from curate.card import load_card
    from curate.corpus import catalog_folders
    from curate.plan import check_card

    paths = {path.stem: path for folder in reversed(catalog_folders()) for path in sorted(folder.glob("*.yaml"))}
    source_id = words[-1] if words else None
    if source_id is None or words not in ((source_id,), ("show", source_id)) or words == ("show",):
        if words:
            raise UsageError("`curate sources` takes nothing, ID, or show ID")
        return out.sources({name: load_card(path) for name, path in sorted(paths.items())})
    path = Path(source_id) if source_id.endswith((".yaml", ".yml")) else paths.get(source_id)
    if path is None:
        raise UsageError(f"no card {source_id!r}; `curate sources` lists them")
    card = load_card(path)
    check_card(card)
    return out.source(card)


@command
@click.argument("source", metavar="ID|CARD")
@click.option(
    "--data",
    "data_root",
    type=data_folder,
    required=True,
    metavar="ROOT",
    help="The folder that gets ROOT/ID.",
)
@click.option("--accept-terms", is_flag=True, help="Accept the terms of the source, which are shown either way.")
@click.option("--allow-private", is_flag=True, help="Follow addresses that lead into this machine or its network.")
def fetch(out: printing.Printer, source: str, data_root: Path, accept_terms: bool, allow_private: bool) -> int:
    """Fetch a source by the addresses on its card, once its terms are accepted; the same command goes on or repairs."""
    from curate.fetch.acceptance import check_fetchable, terms_of
    from curate.fetch.run import fetch as run_fetch
    from curate.fetch.run import is_accepted

    card = _card(source)
    check_fetchable(card)
    out.terms(terms_of(card))
    how: Literal["option", "prompt"] | None = "option" if accept_terms else None
    if how is None and not is_accepted(card, data_root) and out.asks("Do you accept these terms?"):
        how = "prompt"
    with out.bytes_progress(card.id) as progress:
        done = run_fetch(card, data_root, accepted=how, allow_private=allow_private, progress=progress)
    return out.fetched(source, data_root, done)


@command
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "-o", "target", type=click.Path(path_type=Path, dir_okay=False), help="Write the card here instead of printing it."
)
@click.option("--id", "card_id", help="The card's id; by default from the folder's name.")
def sniff(out: printing.Printer, folder: Path, target: Path | None, card_id: str | None) -> int:
    """Draft a card for a folder that nobody described, and say where it is unsure."""
    from curate.layouts.sniff import sniff as draft

    return out.sniffed(draft(folder, card_id=card_id), target)


@command
@FOLDER
@click.option("--images", default=24, show_default=True, type=click.IntRange(min=1), help="Images per dataset.")
@click.option("--seed", default="phantom", show_default=True, help="Another seed draws other pictures.")
@click.option("--only", multiple=True, metavar="ID", help="Only this dataset; may be given several times.")
def phantom(out: printing.Printer, folder: Path, images: int, seed: str, only: tuple[str, ...]) -> int:
    """Plausible images with exactly known geometry, in the public layouts."""
    from curate.phantom import write_phantoms

    return out.phantoms(folder, write_phantoms(folder, images=images, seed=seed, only=only))
