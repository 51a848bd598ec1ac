"""The plot: CPU a packet of every server, in three panels."""

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib.axes import Axes

from bench.arithmetic import best, middle
from bench.journal import Record
from bench.lines import Line
from bench.table import by_column, rank
from bench.tools import PLOT

PANELS = {
    "single": "160 bytes, packet by packet",
    "merged": "16 x 1200 bytes, sent as GSO",
    "veth": "16 x 1200 bytes apart, veth",
}
COLOURS = {"hairpin": "#0b7a75", "coturn": "#c8553d", "turn-rs": "#8d6a9f", "pion": "#e0a458", "floor": "#b8bdc2"}


def write_plot(shown: Sequence[tuple[Line, Record]]) -> None:
    """docs/performance.svg, text as text so that it stays small."""
    groups = {group: [pair for pair in shown if pair[0].group == group] for group in PANELS}
    panels = {group: pairs for group, pairs in groups.items() if pairs}
    if not panels:
        return
    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "hairpin", "font.size": 9})
    heights = [len(pairs) for pairs in panels.values()]
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(11, 0.9 * sum(heights)), height_ratios=heights, squeeze=False
    )
    for axis, (group, pairs) in zip(axes[:, 0], panels.items(), strict=True):
        _draw(axis, PANELS[group], pairs)
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})


def _draw(axis: Axes, title: str, pairs: Sequence[tuple[Line, Record]]) -> None:
    names = sorted({name: 0 for line, record in pairs for name in by_column(line, record)}, key=rank)
    height = 0.85 / len(names)
    for place, name in enumerate(names):
        bars = [(row - 0.4 + place * height, value) for row, pair in enumerate(pairs) if (value := _value(*pair, name))]
        if bars:
            where, widths = zip(*bars, strict=True)
            colour, strength = _colour(names, name)
            drawn = axis.barh(
                where, widths, height * 0.9, align="edge", color=colour, alpha=strength, label=name, linewidth=0
            )
            axis.bar_label(drawn, fmt="%.2f", padding=2, fontsize=7)
    axis.set_yticks(range(len(pairs)), [line.name for line, _ in pairs])
    axis.invert_yaxis()
    axis.set_title(f"{title}: CPU us a packet, less is better", loc="left", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _colour(names: Sequence[str], name: str) -> tuple[str, float]:
    """A colour for each server, paler for each further column of it."""
    server = name.split()[0]
    alike = [other for other in names if other.split()[0] == server]
    return COLOURS.get(server, "#555555"), 1 - 0.3 * min(alike.index(name), 2)


def _value(line: Line, record: Record, name: str) -> float | None:
    variants = by_column(line, record).get(name, {})
    chosen = best(line.figure, variants)
    return middle(line.figure, variants[chosen]) if chosen else None
