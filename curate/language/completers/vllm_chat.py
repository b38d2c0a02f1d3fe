"""What `vllm serve` makes of a chat completion body, made in this process: prompt and sampling parameters.

It goes through vLLM's own protocol and renderer, so a body means the same in process, on a ray replica and over HTTP:
the model's chat template, `response_format`, `seed`, `chat_template_kwargs`, the defaults of the model's
generation_config.json, output clipped to what the context leaves. Written against vLLM 0.32; its internals are used
in this module and in `vllm` alone.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

from curate.language.base import CompleterError, Failure, Trouble

__all__ = ["Chat", "Parts", "Prompt", "engine_name", "no_images_taken", "not_taken", "prepare", "refusal"]

QUIET: Final[Mapping[str, str]] = {
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork would copy the locks of threads that polars and pyarrow run
}
"""What the engine reads from the environment when it is imported. Whoever sets one of them differently is obeyed."""
TOO_LONG: Final = frozenset({"input_text", "input_tokens", "max_tokens", "max_completion_tokens"})
"""The parameters that vLLM names when prompt or answer do not fit into the context."""
NOT_TOLD: Final = frozenset({"output_kind", "skip_clone"})
"""Sampling parameters that say how the engine hands answers over, not what it answers."""
OWN_FORMAT: Final = "gpt_oss"
"""The model type whose answers are no plain text, so that only `vllm serve` takes them apart."""


@dataclass(frozen=True)
class Prompt:
    """One request as the engine takes it."""

    rendered: Any  # vllm.inputs.EngineInput
    sampling: Any  # vllm.SamplingParams


@dataclass(frozen=True)
class Parts:
    """One request before the model's image processor has seen it, as another process can take it."""

    tokens: list[int]  # of the prompt, one placeholder an image
    media: dict[str, Any] | None  # vllm.inputs.MultiModalDataDict
    sampling: dict[str, Any]  # arguments of vllm.SamplingParams other than its defaults, a JSON schema as text


class Chat:
    """Bodies of requests to prompts of one model."""

    def __init__(self, model_config: Any, renderer: Any) -> None:
        if model_config.hf_config.model_type == OWN_FORMAT:
            raise CompleterError(
                "this model answers in the harmony format, which is read by `vllm serve` alone: "
                "start one and use the completer `openai`"
            )
        from vllm.utils.mistral import is_mistral_tokenizer

        self.takes_images: bool = model_config.is_multimodal_model
        self._model = model_config
        self._renderer = renderer
        self._tokenized = is_mistral_tokenizer(renderer.tokenizer) or model_config.enable_prompt_embeds
        self._defaults = model_config.get_diff_sampling_param()

    def prompt(self, body: dict[str, Any]) -> Prompt:
        """The prompt of one body, images and all.

        Raises:
            Exception: whatever vLLM raises on what it does not take, see `refusal`.
        """
        asked, template, tokenizing = self._read(body)
        _, (rendered,) = self._renderer.render_chat([asked.messages], template, tokenizing)
        return Prompt(rendered, self._sampling(asked, len(rendered["prompt_token_ids"])))

    def parts(self, body: dict[str, Any]) -> Parts:
        """The prompt of one body with its images as they came, for an engine in another process.

        Raises:
            Exception: whatever vLLM raises on what it does not take, see `refusal`.
        """
        asked, template, tokenizing = self._read(body)
        _, written = self._renderer.render_messages(asked.messages, template)
        (rendered,) = self._renderer.tokenize_prompts([written], tokenizing)
        tokens = list(rendered["prompt_token_ids"])
        return Parts(tokens, rendered.get("multi_modal_data"), _plain(self._sampling(asked, len(tokens))))

    def _read(self, body: dict[str, Any]) -> tuple[Any, Any, Any]:
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

        asked = ChatCompletionRequest(**body)
        template = asked.build_chat_params(None, "auto").with_defaults({"tools": None, "tokenize": self._tokenized})
        return asked, template, asked.build_tok_params(self._model)

    def _sampling(self, asked: Any, prompt_tokens: int) -> Any:
        from vllm.entrypoints.serve.utils.api_utils import get_max_tokens
        from vllm.exceptions import VLLMValidationError

        if prompt_tokens >= self._model.max_model_len:
            raise VLLMValidationError("no room for an answer", parameter="input_tokens", value=prompt_tokens)
        wanted = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
        room = get_max_tokens(self._model.max_model_len, wanted, prompt_tokens, self._defaults)
        return asked.to_sampling_params(room, self._defaults)

    def check(self) -> None:
        """See that the model has a chat template that takes a plain question.

        Raises:
            CompleterError: it has none, so no request could be answered.
        """
        try:
            self.prompt({"messages": [{"role": "user", "content": "?"}], "max_tokens": 1})
        except Exception as problem:
            raise CompleterError(
                f"the model takes no chat messages ({type(problem).__name__}): use a model whose tokenizer "
                "has a chat template (an instruct or chat model)"
            ) from None


def _plain(sampling: Any) -> dict[str, Any]:
    """What is asked of the engine, as values that any table holds."""
    from vllm import SamplingParams

    usual = SamplingParams()
    told = (name for name in sampling.__struct_fields__ if not name.startswith("_") and name not in NOT_TOLD)
    plain = {name: value for name in told if (value := getattr(sampling, name)) != getattr(usual, name)}
    if sampling.structured_outputs is not None:
        shape = {
            name: value
            for name, value in vars(sampling.structured_outputs).items()
            if value is not None and not name.startswith("_")
        }
        if isinstance(shape.get("json"), dict):  # as text: a table would give every schema the keys of all
            shape["json"] = msgspec.json.encode(shape["json"]).decode()
        plain["structured_outputs"] = shape
    return plain


def refusal(request_id: str, problem: Exception) -> Failure:
    """Why vLLM did not take a request, without a word of the request.

    What it says of the request itself is definitive; everything else may pass.
    """
    from vllm.exceptions import VLLMClientError

    named = getattr(problem, "parameter", None)
    kind = type(problem).__name__
    if named in TOO_LONG:
        return Failure(request_id, Trouble.REQUEST_TOO_LONG, f"{named} {getattr(problem, 'value', '')}".strip())
    of_template = any(base.__name__ == "TemplateError" for base in type(problem).__mro__)  # jinja2's, maybe sandboxed
    if of_template or isinstance(problem, VLLMClientError | ValueError | TypeError | NotImplementedError):
        return Failure(request_id, Trouble.MODEL_REFUSED, kind)
    return Failure(request_id, Trouble.SERVER_ERROR, kind)


def no_images_taken(model: str) -> CompleterError:
    """An image goes along, and the model reads text alone."""
    return CompleterError(f"the model {model} takes no images: choose a vision model, or set `see_image: false`")


def not_taken(model: str, kind: str) -> CompleterError:
    """No request with these parameters is taken, whatever it says."""
    return CompleterError(
        f"vllm takes no request like these with the model {model} ({kind}), not even a short one: see whether "
        "the model and its context allow `max_tokens`, the sampling parameters and the answer schema"
    )


def prepare(model: str, download: bool) -> None:
    """Make this process and its children ready for vLLM, before it is imported.

    Raises:
        CompleterError: vLLM is not installed.
    """
    if find_spec("vllm") is None:
        raise CompleterError(
            "vllm is not installed; install `medcurate[vllm]` on a machine with a GPU, or reach a server elsewhere "
            "with the completer `openai`"
        )
    offline = {} if download or Path(model).is_dir() else {"HF_HUB_OFFLINE": "1"}
    for name, value in {**QUIET, **offline}.items():
        os.environ.setdefault(name, value)


def engine_name() -> str:
    """The engine's name and version as answers state it."""
    import vllm

    return f"vllm {vllm.__version__}"
