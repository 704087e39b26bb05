"""The curves of a run as a picture."""

from pathlib import Path
from typing import Any


def plot(lines: list[dict[str, Any]], path: Path) -> None:
    """Draw training and validation loss and the learning rate over tokens into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [line for line in lines if line["event"] == "train"]
    evals = [line for line in lines if line["event"] == "eval"]
    figure = Figure(figsize=(8, 4.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(*_points(steps, "loss"), color="#9ab", linewidth=1, label="training")
    tokens, losses = [line["tokens"] for line in evals], [line["val"]["loss"] for line in evals]
    axes.plot(tokens, losses, color="#c33", marker="o", markersize=3, label="validation")
    axes.set(xlabel="tokens", ylabel="nats a token")
    axes.grid(alpha=0.3)
    rates = axes.twinx()
    rates.plot(*_points(steps, "lr"), color="#aaa", linestyle=":", linewidth=1)
    rates.set_ylabel("learning rate", color="#888")
    axes.legend(loc="upper right")
    part = path.with_name(path.name + ".part")
    figure.savefig(part, format="png", metadata={"Software": None})
    part.replace(path)


def _points(lines: list[dict[str, Any]], key: str) -> tuple[list[float], list[float]]:
    return [line["tokens"] for line in lines], [line[key] for line in lines]
