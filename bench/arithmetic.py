"""What decides: which runs count, medians, ratios, and whether what is asked is reached. No servers, no files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

from bench.lines import Ask, Figure

Sample: TypeAlias = dict[str, float]
MOST_LOST = 0.001
FIELDS = {
    "core_us_per_packet": "core",
    "server_cpu_us_per_packet": "own",
    "core_us_per_setup": "core",
    "server_cpu_us_per_setup": "own",
    "pps": "rate",
    "setups_per_second": "rate",
    "sent": "sent",
    "lost": "lost",
    "reordered": "late",
    "window": "window",
    "sessions": "sessions",
    "setup_failures": "failures",
    "server_rss_kib": "rss",
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """More than 1 where hairpin does better; least and most of the rounds."""

    whole: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.whole:.2f} ({self.least:.2f}-{self.most:.2f})"


def sample_of(found: Mapping[str, Any]) -> Sample:
    """The fields of turnload's JSON that are kept."""
    kept = {name: float(found[field]) for field, name in FIELDS.items() if field in found}
    kept |= {name: float(found["latency_us"][name]) for name in ("p50", "p99") if "latency_us" in found}
    kept["wrong"] = float(found.get("misrouted", 0) + found.get("bad", 0))
    kept["up"] = kept["sessions"] - kept["failures"]
    return kept


def counts(sample: Sample) -> bool:
    """Whether a run counts: nothing wrong, and of a thousand packets one lost at most."""
    if "failed" in sample or sample.get("wrong"):
        return False
    return sample.get("lost", 0) <= MOST_LOST * sample.get("sent", 0)


def values(figure: Figure, samples: Sequence[Sample]) -> list[float]:
    """The figures of the runs that count; losses count always, for they are the figure."""
    return [
        sample[figure.field]
        for sample in samples
        if figure.field in sample and (counts(sample) or figure.field == "lost")
    ]


def middle(figure: Figure, samples: Sequence[Sample]) -> float | None:
    """The median of the runs that count."""
    found = values(figure, samples)
    return median(found) if found else None


def best(figure: Figure, variants: Mapping[str, Sequence[Sample]]) -> str | None:
    """The name of the variant whose median is best."""
    found = {name: value for name, samples in variants.items() if (value := middle(figure, samples)) is not None}
    choose = min if figure.less_is_better else max
    return choose(found, key=found.__getitem__) if found else None


def ratio(figure: Figure, ours: Sequence[Sample], theirs: Sequence[Sample]) -> Ratio | None:
    """Of medians, and of the rounds one by one where both counted; there is none to nothing."""
    our, their = middle(figure, ours), middle(figure, theirs)
    if not our or not their:
        return None
    each = [
        _one(figure, mine, other)
        for one, another in zip(ours, theirs, strict=False)
        if (mine := middle(figure, [one])) and (other := middle(figure, [another]))
    ]
    whole = _one(figure, our, their)
    return Ratio(whole, min(each, default=whole), max(each, default=whole))


def _one(figure: Figure, ours: float, theirs: float) -> float:
    return theirs / ours if figure.less_is_better else ours / theirs


def wording(ask: Ask) -> str:
    """What is asked, in the table."""
    if ask.against == "itself":
        return f"{ask.bound:g} at {'most' if ask.most else 'least'}"
    return f"{ask.against} x {ask.bound:g} at most" if ask.most else f"{ask.against} {ask.bound:g}"


def reached(ask: Ask, value: float | None, against: Ratio | None) -> bool | None:
    """Whether it is; None where it could not be measured. `against` is hairpin's ratio to what the ask names."""
    if ask.against == "itself":
        found = value
    elif against is None:
        found = None
    else:
        found = 1 / against.whole if ask.most else against.whole
    if found is None:
        return None
    return found <= ask.bound if ask.most else found >= ask.bound
