"""What there is to be counted."""

from curate.verify.lexicon import concept_key
from curate.verify.reading import Reading

__all__ = ["kinds_asked", "total_of"]


def kinds_asked(reading: Reading) -> list[str]:
    """The keys of what is to be counted."""
    if reading.topic == "count_total":
        return [concept_key(str(name)) for name in reading.asked.get("concepts", ())]
    return [concept_key(str(reading.asked.get("concept")))]


def total_of(reading: Reading) -> int | None:
    """The total over all kinds asked, where each is known."""
    if reading.topic != "count_total":
        return None
    label_set = str(reading.asked.get("label_set"))
    numbers = [reading.facts.count(label_set, key) for key in kinds_asked(reading)]
    return None if None in numbers else sum(number for number in numbers if number is not None)
