"""Gates: what the terms of a source forbid, decided when a build is planned, before anything is read or sent."""

import msgspec

from curate.corpus import Corpus
from curate.errors import GateError, RecipeError, UsageError
from curate.language.base import Where
from curate.language.completers import completer_class, options_of
from curate.recipe import Engine, Recipe, Rewrite
from curate.terms import remote_problem

__all__ = ["check_gates", "check_rewrite", "gate_note", "with_completer"]


def with_completer(recipe: Recipe, name: str) -> Recipe:
    """The recipe with another completer for its requests.

    Raises:
        UsageError: it rewrites nothing.
    """
    if recipe.rewrite is None:
        raise UsageError(f"--completer {name} has nothing to answer: the recipe {recipe.name} says no `rewrite`")
    if recipe.rewrite.completer.name == name:
        return recipe
    return msgspec.structs.replace(recipe, rewrite=msgspec.structs.replace(recipe.rewrite, completer=Engine(name=name)))


def check_rewrite(rewrite: Rewrite, recipe: Recipe) -> None:
    """Everything about a rewriter that can be judged without starting it."""
    options_of(rewrite.completer.name, rewrite.completer.options)
    known = {entry.name for entry in recipe.tasks}
    strange = [name for name in rewrite.tasks or () if name not in known]
    if strange:
        raise RecipeError(f"rewrite: tasks names {strange}, the recipe's tasks are {sorted(known)}")


def gate_note(rewrite: Rewrite) -> str:
    """Who is asked, and who sees it."""
    engine = rewrite.completer
    where = completer_class(engine.name).place(options_of(engine.name, engine.options))
    if engine.name == "replay":
        return f"{rewrite.model} rewrites by replay: stored answers alone, nothing is sent"
    seen = "what is sent stays with us" if where is Where.LOCAL else "third parties see it, which every card allows"
    return f"{rewrite.model} rewrites by {engine.name} ({where}: {seen})"


def check_gates(corpus: Corpus) -> None:
    """Refuse to send what a source's terms keep here.

    Raises:
        GateError: a completer outside, and a source that may only meet one of ours.
    """
    rewrite = corpus.recipe.rewrite
    if rewrite is None:
        return
    engine = rewrite.completer
    if completer_class(engine.name).place(options_of(engine.name, engine.options)) is Where.LOCAL:
        return
    for source in corpus.sources:
        problem = remote_problem(source.card, images=rewrite.see_image)
        if problem is not None:
            terms = source.card.terms
            raise GateError(
                f"{source.id} may not be sent to a third party: {problem}. Its terms ({terms.licence}, read at "
                f'{terms.read_at}): "{terms.quote}". Choose a completer on this machine (vllm, ray, openai at a '
                "loopback address), say `where: local` of a server that is yours, or take the source out of the recipe"
            )
