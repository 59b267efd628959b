"""Features that collapse: every patch gets the same, so the loss sits at the margin for good."""

import json
from pathlib import Path

from trackssl.config import Pretraining
from trackssl.errors import InputError

COLLAPSED_SHARE = 0.98  # a loss of this share of the margin or more sits at the margin
COLLAPSED_SPREAD = 0.05
NAMED_AFTER_STEPS = 100  # at iteration 0 collapsed features are normal
ADVICE = (
    "try random negatives for longer (pretraining.hard_negatives_from_iteration), fewer hard ones "
    "(hard_share: 0.5), pairs of more videos or another learning_rate"
)


class CollapseWatch:
    """Names collapsed features and ends a run that stays with them.

    Collapsed: the spread is near 0 and the ranking loss at the margin. All that is known here
    follows from the lines of the log, so a run that was killed goes on the same.
    """

    def __init__(self, settings: Pretraining) -> None:
        self.settings = settings
        self.since: int | None = None  # the first iteration of this collapse
        self.named = False
        self.best, self.best_at = 0.0, 0  # the largest spread since then, and its iteration

    def replay(self, log: Path, length: int) -> None:
        """See again what the first `length` bytes of a log say. Raises InputError if it cannot."""
        try:
            lines = log.read_bytes()[:length].splitlines() if length else []
            for line in map(json.loads, lines):
                if "spread" in line:
                    self.see(line["iteration"], line["loss"], line["spread"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{log}: this log does not fit the checkpoint beside it; delete its folder to "
                "start anew."
            ) from None

    def see(self, iteration: int, loss: float, spread: float) -> str | None:
        """Take note of a line of the log -> a warning, once a collapse has lasted 100 steps."""
        ranking = self.settings.loss == "ranking"
        at_margin = not ranking or loss >= COLLAPSED_SHARE * self.settings.margin
        if not at_margin or spread >= COLLAPSED_SPREAD:
            self.since, self.named = None, False
            return None
        if self.since is None:
            self.since, self.best, self.best_at = iteration, spread, iteration
        elif spread > 1.1 * self.best + 1e-6:  # more than batches and rounding do
            self.best, self.best_at = spread, iteration
        if self.named or iteration - self.since < NAMED_AFTER_STEPS:
            return None
        self.named = True
        margin = f" at a margin of {self.settings.margin}" if ranking else ""
        return (
            f"the features have collapsed: since iteration {self.since} their spread is near 0 "
            f"({spread:.1e} at iteration {iteration}, with a loss of {loss:.3f}{margin}); unless "
            f"the spread grows, {ADVICE}"
        )

    def stop_if_hopeless(self, iteration: int) -> None:
        """Raise InputError after `collapse_patience_steps` of collapse without growth."""
        patience = self.settings.collapse_patience_steps
        if self.since is not None and patience and iteration - self.best_at >= patience:
            raise InputError(
                f"The run was stopped at iteration {iteration}: the features have collapsed, and "
                f"their spread ({self.best:.1e}) has not grown since iteration {self.best_at}; "
                f"{ADVICE}, then delete the progress folder (pretraining.collapse_patience_steps "
                "says when to stop)."
            )

    def at_end(self, loss: float) -> str | None:
        """A warning if the run ended at the margin."""
        if self.settings.loss != "ranking" or not loss >= COLLAPSED_SHARE * self.settings.margin:
            return None
        return (
            f"the run ended with a loss of {loss:.3f} at a margin of {self.settings.margin}: "
            f"patches of a pair are no closer than others, the features have collapsed; {ADVICE}"
        )
