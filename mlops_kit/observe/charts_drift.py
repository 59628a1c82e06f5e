"""Charts of drift: features over time, errors over time, one feature then and now; must not call AWS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops_kit.drift.statistics import bins
from mlops_kit.errors import UsageError
from mlops_kit.observe.charts import ROLES, Chart, new_figure, title

if TYPE_CHECKING:
    from mlops_kit.drift.profile import Profile
    from mlops_kit.drift.windows import Window

_RANGE = {"psi": (1e-3, 10), "js": (1e-2, 1), "ks": (1e-2, 1), "chi_square": (1, 1e5)}


def heat_map(windows: Sequence[Window], statistic: str = "psi", limit: float | None = 0.2) -> Chart:
    """A statistic of every feature, window by window; what is above the limit has a frame.

    Parameters
    ----------
    windows : sequence of Window
        In the order of time.
    statistic : str
        ``psi``, ``js``, ``ks`` or ``chi_square``.
    limit : float, optional
        Where a frame begins.

    Raises
    ------
    UsageError
        There is no window, or no such statistic.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Rectangle

    if not windows or statistic not in _RANGE:
        raise UsageError(
            f"There is no {statistic!r} of {len(windows)} windows to draw.",
            suggestion=f"give windows, and one of {', '.join(_RANGE)}.",
        )
    names = list(dict.fromkeys(name for one in windows for name in one.features))
    names = [name for name in names if any(statistic in one.features.get(name, {}) for one in windows)]
    values = [[one.features.get(name, {}).get(statistic, float("nan")) for one in windows] for name in names]
    figure, axes = new_figure(max(5.0, 2.2 + 0.55 * len(windows)), 1.3 + 0.3 * len(names))
    low, high = _RANGE[statistic]
    image = axes.imshow(values, aspect="auto", cmap="cividis", norm=LogNorm(low, high, clip=True))
    drifted = 0
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            if value != value:  # noqa: PLR0124 - not a number
                continue
            dark = value < (low * high) ** 0.5
            axes.text(
                column,
                row,
                f"{value:.2g}" if value >= low else "0",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if dark else "black",
            )
            if limit is not None and value > limit:
                drifted += 1
                axes.add_patch(
                    Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, edgecolor="black")
                )
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xticks(range(len(windows)), [one.end for one in windows], fontsize=8, rotation=45, ha="right")
    axes.set_xlabel("end of the window")
    axes.spines[:].set_visible(False)
    framed = f", framed above {limit:g}" if limit is not None else ""
    figure.colorbar(image, ax=axes, label=f"{statistic} (logarithmic)", fraction=0.04, pad=0.02)
    title(axes, f"{statistic.upper()} of each feature against the champion's training{framed}")
    return Chart(
        figure, f"{statistic} of {len(names)} features in {len(windows)} windows: {drifted} above the limit"
    )


def errors(
    windows: Sequence[Window], retrained: Sequence[str] = (), bias_limit: float | None = 0.15
) -> Chart:
    """The champion's WAPE beside the naive forecast's, and its bias, window by window.

    Parameters
    ----------
    windows : sequence of Window
        In the order of time.
    retrained : sequence of str
        Days on which a new champion began to serve.
    bias_limit : float, optional
        Drawn on both sides of zero.
    """
    figure, panels = new_figure(9, 3, columns=2)
    ends = [one.end for one in windows]
    wape = [one.error["wape"] for one in windows]
    naive = [
        one.error["wape"] / ratio if (ratio := one.error.get("error_vs_naive")) else None for one in windows
    ]
    bias = [one.error["bias"] for one in windows]
    left, right = panels
    left.plot(ends, wape, marker="s", color=ROLES["champion"][0], label="champion")
    left.plot(
        ends, naive, marker="^", color=ROLES["naive"][0], linestyle="--", label="naive: same hour last week"
    )
    left.set_ylabel("WAPE, share of the total")
    left.set_ylim(bottom=0)
    right.plot(ends, bias, marker="s", color=ROLES["champion"][0], label="champion")
    right.axhline(0, color="black", linewidth=0.6)
    right.set_ylabel("bias, share of the total")
    if bias_limit is not None:
        for at, label in ((bias_limit, f"limit {bias_limit:g}"), (-bias_limit, None)):
            right.axhline(at, color="#D55E00", linestyle=":", label=label)
    for axes, words in ((left, "Error"), (right, "Bias: below zero it underestimates")):
        for number, day in enumerate(day for day in retrained if day in ends):
            axes.axvline(
                day, color="#0072B2", linestyle="-.", linewidth=1, label=None if number else "retrained"
            )
        axes.tick_params(axis="x", labelrotation=60, labelsize=7)
        axes.set_xlabel("end of the window")
        axes.legend(fontsize=7, loc="best")
        title(axes, words)
    return Chart(figure, f"WAPE {wape[0]:.3f} to {wape[-1]:.3f}, bias {bias[0]:+.3f} to {bias[-1]:+.3f}")


def then_and_now(reference: Profile, window: Profile, features: Sequence[str], when: str = "now") -> Chart:
    """Features of the training beside those of a window: shares by the training's deciles, or by category.

    Parameters
    ----------
    reference, window : Profile
        The window's made with the reference's ranges.
    features : sequence of str
        A panel each.
    when : str
        Name of the window in the legend.
    """
    figure, panels = new_figure(2.6 * max(len(features), 1), 2.7, columns=max(len(features), 1))
    for axes, name in zip(panels, features, strict=False):
        counts = bins(*(one.numeric.get(name) or one.categories[name] for one in (reference, window)))
        for place, (label, colour, hatch) in enumerate(
            (("training", ROLES["naive"][0], "..."), (when, ROLES["challenger"][0], ""))
        ):
            shares = [count / max(sum(counts[place]), 1) for count in counts[place]]
            at = [number + 0.4 * place for number in range(len(shares))]
            axes.bar(at, shares, width=0.4, color=colour, hatch=hatch, edgecolor="white", label=label)
        axes.set_title(name, fontsize=9, loc="left")
        axes.set_xlabel("decile of the training" if name in reference.numeric else "value", fontsize=8)
        labels = list(reference.categories[name].counts) if name in reference.categories else []
        axes.set_xticks([number + 0.2 for number in range(len(labels))], labels, fontsize=8)
        axes.tick_params(axis="y", labelsize=8)
    panels[0].set_ylabel("share of rows")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, fontsize=8)
    return Chart(figure, f"{', '.join(features)}: training beside {when}")
