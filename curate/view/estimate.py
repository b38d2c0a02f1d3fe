"""What a whole build would be, from a stratified sample: pairs, requests, tokens, bytes, time and price.

Counts per item are summed by stratum (N_h times the mean of its sample; a stratum without one takes the mean of its
source), with a standard error from the spread within the source: cautious, since strata only lessen it. Bytes follow
the bytes of the source (a ratio estimate). Distinct requests lie between two ends: the species that the sample's
repeats foretell (Chao1, extrapolated as by Colwell et al. 2012, J. Plant Ecol. 5:3-21), which is a lower end, and
as many new ones per draft as in the sample, which is the upper one. No price or speed is assumed: what nobody gives is
null.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curate.errors import UsageError
from curate.view.sampling import SourceSample

__all__ = [
    "Estimate",
    "ItemCounts",
    "Prices",
    "Range",
    "SourceEstimate",
    "Tokens",
    "distinct_of",
    "estimate",
    "prices_of",
]


@dataclass(frozen=True, slots=True)
class Prices:
    """What a model costs, as whoever asks says. `per_million_*` and `per_gpu_hour` are in one currency of theirs."""

    per_million_prompt: float | None = None
    per_million_completion: float | None = None
    tokens_per_second: float | None = None  # that one accelerator writes
    per_gpu_hour: float | None = None


def prices_of(per_million: str | None, tokens_per_second: float | None, per_gpu_hour: float | None) -> Prices:
    """Prices as a command line says them: `IN` or `IN:OUT` for a million tokens.

    Raises:
        UsageError: no such price.
    """
    if per_million is None:
        return Prices(tokens_per_second=tokens_per_second, per_gpu_hour=per_gpu_hour)
    prompt, colon, completion = per_million.partition(":")
    try:
        numbers = float(prompt), float(completion if colon else prompt)
    except ValueError:
        numbers = (math.nan, math.nan)
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        raise UsageError(f"--price-per-million-tokens takes IN or IN:OUT, as in 0.5:1.5, got {per_million!r}")
    return Prices(numbers[0], numbers[1], tokens_per_second, per_gpu_hour)


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """What one item of the sample came to."""

    pairs: int = 0
    asked: int = 0  # drafts that ask a model


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the answered requests of the sample took."""

    requests: int
    prompt: int
    completion: int


@dataclass(frozen=True, slots=True)
class Range:
    """Two ends between which a count is thought to lie."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SourceEstimate:
    """One source as a whole: `items` and `bytes` are counted, the rest is estimated from `sampled` items."""

    source: str
    items: int
    bytes: int
    sampled: int
    pairs: float
    pairs_error: float | None  # standard error; null: too few items to tell
    asked: float
    stored_bytes: float | None  # null: the sample's files tell nothing


@dataclass(frozen=True, slots=True)
class Estimate:
    """The whole build. Null: nothing is known of it, and `missing` says what would tell."""

    sources: tuple[SourceEstimate, ...]
    items: int
    bytes: int
    pairs: float
    pairs_error: float | None
    stored_bytes: float | None
    asked: float | None = None  # drafts that ask a model; null: the recipe asks none
    requests: Range | None = None
    prompt_tokens: Range | None = None
    completion_tokens: Range | None = None
    price: Range | None = None
    gpu_hours: Range | None = None
    gpu_price: Range | None = None
    missing: tuple[str, ...] = ()


def estimate(
    samples: Sequence[SourceSample],
    counts: Mapping[tuple[str, str], ItemCounts],
    stored: Mapping[str, tuple[int, int]],
    *,
    requests: Sequence[str] | None = None,
    tokens: Tokens | None = None,
    max_tokens: int | None = None,
    prices: Prices | None = None,
) -> Estimate:
    """The estimate from `counts` by (source, item key) and from `stored`: source -> bytes stored, of so many read.

    `requests` names the request of each draft that asks for one; null where the recipe has no rewriter. `max_tokens` is
    the recipe's limit for one answer.
    """
    prices = prices or Prices()
    sources = tuple(_source(sample, counts, *stored.get(sample.source, (0, 0))) for sample in samples)
    errors = [source.pairs_error for source in sources]
    whole = Estimate(
        sources=sources,
        items=sum(source.items for source in sources),
        bytes=sum(source.bytes for source in sources),
        pairs=math.fsum(source.pairs for source in sources),
        pairs_error=None if None in errors else math.sqrt(math.fsum((error or 0.0) ** 2 for error in errors)),
        stored_bytes=None
        if any(source.stored_bytes is None for source in sources)
        else math.fsum(source.stored_bytes or 0.0 for source in sources),
    )
    if requests is None:
        return whole
    return _with_model(whole, requests, tokens, max_tokens, prices)


def _source(
    sample: SourceSample, counts: Mapping[tuple[str, str], ItemCounts], stored: int, read: int
) -> SourceEstimate:
    got = {key: counts.get((sample.source, key), ItemCounts()) for key in sample.keys}
    pairs = [one.pairs for one in got.values()]
    return SourceEstimate(
        source=sample.source,
        items=sample.items,
        bytes=sample.bytes,
        sampled=len(got),
        pairs=_total(sample, {key: one.pairs for key, one in got.items()}),
        pairs_error=_error(pairs, sample.items),
        asked=_total(sample, {key: one.asked for key, one in got.items()}),
        stored_bytes=stored * sample.bytes / read if read else (0.0 if not sample.bytes else None),
    )


def _total(sample: SourceSample, values: Mapping[str, int]) -> float:
    """The sum over all items of a source."""
    total = met = 0.0
    for stratum in sample.strata:
        if stratum.taken:
            total += stratum.items * math.fsum(values[key] for key in stratum.taken) / len(stratum.taken)
            met += stratum.items
    return total * sample.items / met if met else 0.0


def _error(values: Sequence[int], items: int) -> float | None:
    """The standard error of a total from a simple random sample without replacement."""
    n = len(values)
    if n >= items:
        return 0.0
    if n < 2:
        return None
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return items * math.sqrt((1 - n / items) * variance / n)


def distinct_of(requests: Sequence[str], drafts: float) -> Range:
    """How many distinct requests `drafts` drafts make, where those of the sample made `requests`."""
    n = len(requests)
    if not n:
        return Range(0.0, 0.0)
    times = Counter(requests)
    seen = len(times)
    if drafts <= n:
        return Range(float(seen), float(seen))
    once = sum(count == 1 for count in times.values())
    twice = sum(count == 2 for count in times.values())
    upper = seen * drafts / n
    if once == n:  # no request came twice: nothing tells where that would end
        return Range(upper, upper)
    unseen = (n - 1) / n * (once**2 / (2 * twice) if twice else once * (once - 1) / 2)
    lower = seen + (unseen * -math.expm1((drafts - n) * math.log1p(-once / (n * unseen + once))) if unseen else 0.0)
    return Range(min(lower, upper), upper)


def _with_model(
    whole: Estimate, requests: Sequence[str], tokens: Tokens | None, max_tokens: int | None, prices: Prices
) -> Estimate:
    asked = math.fsum(source.asked for source in whole.sources)
    distinct = distinct_of(requests, asked)
    missing = []
    prompt = completion = price = hours = gpu_price = None
    if tokens is not None and tokens.requests:
        prompt = _times(distinct, tokens.prompt / tokens.requests)
        completion = _times(distinct, tokens.completion / tokens.requests)
    else:
        missing.append(
            "tokens: no request of the sample was answered; name a completer with --completer, or an answer store with "
            "--answers"
        )
        if max_tokens is not None and distinct.high:
            missing.append(f"the recipe's limit for one answer is {max_tokens:,} tokens")
    if prompt is not None and completion is not None:
        if prices.per_million_prompt is not None and prices.per_million_completion is not None:
            price = Range(
                (prompt.low * prices.per_million_prompt + completion.low * prices.per_million_completion) / 1e6,
                (prompt.high * prices.per_million_prompt + completion.high * prices.per_million_completion) / 1e6,
            )
        if prices.tokens_per_second is not None:
            hours = _times(completion, 1 / prices.tokens_per_second / 3600)
            if prices.per_gpu_hour is not None:
                gpu_price = _times(hours, prices.per_gpu_hour)
    if price is None and gpu_price is None:
        missing.append(
            "price: give --price-per-million-tokens, or --tokens-per-second with --price-per-gpu-hour; none is assumed"
        )
    return Estimate(
        whole.sources,
        whole.items,
        whole.bytes,
        whole.pairs,
        whole.pairs_error,
        whole.stored_bytes,
        asked,
        distinct,
        prompt,
        completion,
        price,
        hours,
        gpu_price,
        tuple(missing),
    )


def _times(span: Range, factor: float) -> Range:
    return Range(span.low * factor, span.high * factor)
