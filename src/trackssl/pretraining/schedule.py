"""How long a ranking run lasts, when its rate falls and when its negatives turn hard."""

import math
from dataclasses import dataclass

from trackssl.config import PairSet, Pretraining, Readaptation
from trackssl.errors import InputError

RANDOM_EPOCHS = 10  # the paper's length of the phase with random negatives


@dataclass(frozen=True)
class Schedule:
    """Iterations from 0 to `iterations` - 1; hard negatives from `hard_from` on."""

    iterations: int
    hard_from: int
    learning_rate: float
    lr_step_iterations: int | None

    def rate(self, iteration: int) -> float:
        """Learning rate of the weights: a tenth after each `lr_step_iterations`."""
        steps = iteration // self.lr_step_iterations if self.lr_step_iterations else 0
        return self.learning_rate / 10**steps


def find_set(settings: Pretraining, name: str) -> PairSet:
    """A set by its name. Raises InputError if the config has none of that name."""
    if name not in settings.sets:
        raise InputError(
            f"There is no set '{name}' in pretraining.sets; take one of {', '.join(settings.sets)}."
        )
    return settings.sets[name]


def pretraining_schedule(settings: Pretraining, set_name: str, pairs: int) -> Schedule:
    """Schedule of a set of so many pairs.

    Where the config does not say when hard negatives begin: the smaller of 10 epochs and half of
    the run; our deviation, since 10 epochs are longer than the paper's runs.
    Raises InputError for an unknown set, or when hard negatives would never begin.
    """
    pair_set = find_set(settings, set_name)

    def iterations_of(epochs: float) -> int:
        return math.ceil(epochs * pairs / settings.batch_pairs)

    iterations = pair_set.iterations or iterations_of(pair_set.epochs or 0)
    step = pair_set.lr_step_iterations
    if pair_set.lr_step_epochs is not None:
        step = iterations_of(pair_set.lr_step_epochs)
    hard_from = settings.hard_negatives_from_iteration
    if hard_from is None:
        hard_from = min(iterations_of(RANDOM_EPOCHS), iterations // 2)
    elif hard_from >= iterations:
        raise InputError(
            f"pretraining.hard_negatives_from_iteration is {hard_from}, but set '{set_name}' "
            f"trains for {iterations} iterations, so hard negatives would never begin; lower it, "
            "or leave it out for half of the run."
        )
    return Schedule(iterations, hard_from, settings.learning_rate, step)


def readaptation_schedule(schedule: Schedule, readaptation: Readaptation) -> Schedule:
    """The set's own schedule in small: a share of its length and steps, hard negatives at once.

    The paper states no schedule; ours.
    """
    share, step = readaptation.length_share, schedule.lr_step_iterations
    return Schedule(
        iterations=max(1, round(share * schedule.iterations)),
        hard_from=0,
        learning_rate=readaptation.learning_rate,
        lr_step_iterations=max(1, round(share * step)) if step else None,
    )
