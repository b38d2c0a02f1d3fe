"""Ways to run parts. This room knows nothing of medicine: it calls a named function with JSON and watches."""

from dataclasses import dataclass
from typing import Final

from curate import plugins
from curate.errors import UsageError
from curate.execute.base import Executor

__all__ = ["Executing", "executor_names"]

BUILT_IN: Final = {
    "dask": "curate.execute.dask:DaskExecutor",
    "local": "curate.execute.local:LocalExecutor",
    "ray": "curate.execute.ray:RayExecutor",
}


def executor_names() -> tuple[str, ...]:
    """Every known executor: those built in, and those that an entry point `curate.executors` adds."""
    return plugins.names("curate.executors", BUILT_IN)


@dataclass(frozen=True, slots=True)
class Executing:
    """Which executor a build uses, and how: never part of what it builds.

    `gpus` is what the engine of a language model holds of its machine's accelerators while it answers.
    """

    name: str = "local"
    workers: int | None = None
    address: str | None = None
    gpus: float = 0.0

    def open(self) -> Executor:
        """The executor, not entered yet.

        Raises:
            UsageError: nothing is called so, what it runs on is not installed, or it has no such address.
        """
        try:
            found: type[Executor] | None = plugins.class_named(self.name, "curate.executors", BUILT_IN)
        except ModuleNotFoundError as problem:
            raise UsageError(
                f"the executor {self.name} needs {problem.name}: install it by `pip install 'medcurate[{self.name}]'`"
            ) from None
        if found is None:
            raise UsageError(f"no executor {self.name!r}; the executors are {', '.join(executor_names())}")
        return found(self.workers, self.address)
