"""Ways to run parts. This room knows nothing of medicine: it calls a named function with JSON and watches."""

from dataclasses import dataclass
from typing import Final

from curate.errors import UsageError
from curate.execute.base import Executor
from curate.plugins import Registry

__all__ = ["Executing", "executor_names"]

BUILT_IN: Final = {
    "dask": "curate.execute.dask:DaskExecutor",
    "local": "curate.execute.local:LocalExecutor",
    "ray": "curate.execute.ray:RayExecutor",
}

_EXECUTORS: Final[Registry[Executor]] = Registry("executor", "curate.executors", BUILT_IN, UsageError)


def executor_names() -> tuple[str, ...]:
    """Every known executor: those built in, and those that an entry point `curate.executors` adds."""
    return _EXECUTORS.names


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
            found = _EXECUTORS.named(self.name)
        except ModuleNotFoundError as problem:
            raise UsageError(
                f"the executor {self.name} needs {problem.name}: install it by `pip install 'medcurate[{self.name}]'`"
            ) from None
        return found(self.workers, self.address)
