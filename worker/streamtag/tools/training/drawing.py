"""What a training looked like, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamtag.tools.drawing import charts
from streamtag.tools.training.choosing import Choice
from streamtag.tools.training.fitting import History


def draw_history(history: History, choice: Choice | None, path: Path) -> None:
    """The loss and accuracy of each epoch; of a head that was chosen, how the candidates compare.

    Raises:
        StreamtagError: the file cannot be written.
    """
    if choice is not None and not history.loss:
        _draw_choice(choice, path)
        return
    epochs = range(1, len(history.loss) + 1)
    with charts.figure("", 9, 3.6) as drawn:
        for axis, name, title in zip(
            drawn.subplots(1, 2), ("loss", "accuracy"), ("Loss (cross-entropy)", "Accuracy"), strict=True
        ):
            axis.plot(epochs, getattr(history, name), color=charts.BLUE, label="training")
            axis.plot(epochs, getattr(history, f"val_{name}"), color=charts.ORANGE, label="held out")
            best = int(np.argmin(history.val_loss)) + 1 if history.val_loss else 1
            axis.axvline(best, color=charts.GREY, linestyle=":", label=f"best, epoch {best}")
            if 0 < history.head_epochs < len(history.loss):
                axis.axvline(history.head_epochs + 0.5, color="black", linewidth=0.8, label="fine-tuning from here")
            axis.set_title(title, fontsize=10)
            axis.set_xlabel("epoch")
            axis.legend(fontsize=8, frameon=False)
        charts.save(drawn, path)


def _draw_choice(choice: Choice, path: Path) -> None:
    names = [trial.candidate.name for trial in choice.trials]
    with charts.figure("", 9, 3.6) as drawn:
        left, right = drawn.subplots(1, 2)
        accuracies = [trial.accuracy for trial in choice.trials]
        left.barh(names[::-1], accuracies[::-1], color=charts.BLUE, xerr=[t.spread for t in choice.trials][::-1])
        left.set_xlim(0, 1)
        left.set_title("Accuracy of each head, cross-validated", fontsize=10)
        left.tick_params(axis="y", labelsize=7)
        right.plot(
            [count for count, _ in choice.curve], [value for _, value in choice.curve], "o-", color=charts.ORANGE
        )
        right.set_ylim(0, 1.02)
        right.set_title("Accuracy with fewer pictures", fontsize=10)
        right.set_xlabel("training pictures")
        charts.save(drawn, path)
