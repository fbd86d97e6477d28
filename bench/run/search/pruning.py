"""The early end of a training in a search: a network that is worse than others of its arm were at the same point.

Optuna's median pruner decides, from scores that are known before the training starts. So the decision depends neither
on the trials that run beside it, nor on whether the training was interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from bench.protocol.recipe import Recipe
from bench.run.keeping.curve import Curve, looked_after, same_random_numbers
from bench.run.outcomes.outcome import PrunedError

Looks = Mapping[int, float]
"""The number of a look, from 1 on -> the mean IoU of the network then, 0 to 1."""
LOOKS = (0.25, 0.5, 0.75)
"""The shares of a training after which a search that prunes looks at the network, if the recipe names none."""
FEWEST_RIVALS = 5
"""No training is ended before so many settings of its arm have been trained to the end."""


def looks_of(points: Mapping[int, float], recipe: Recipe) -> dict[int, float]:
    """The looks at a training by their numbers, so that trainings of different lengths can be compared.

    Args:
        points: iteration -> mean IoU after it.
        recipe: the recipe of the training.
    """
    return {number: points[done] for number, done in enumerate(looked_after(recipe), 1) if done in points}


def is_worse(looks: Looks, rivals: Sequence[Looks]) -> bool:
    """True if the best look so far is below the median of the rivals at the last look.

    Args:
        looks: the looks at a training so far.
        rivals: those at the trainings that it is compared with, which were not ended early.
    """
    # Optuna is imported here, since its import takes a second and only trainings that a search may prune need it.
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(FEWEST_RIVALS, n_min_trials=FEWEST_RIVALS)
    with same_random_numbers():
        study = optuna.create_study(direction="maximize")
        study.add_trials([create_trial(value=0.0, intermediate_values=dict(rival)) for rival in rivals])
        return pruner.prune(study, create_trial(state=TrialState.RUNNING, intermediate_values=dict(looks)))


def end_if_worse(curve: Curve, rivals: Sequence[Looks]) -> None:
    """End a training after a look at it, if it is worse than its rivals.

    Raises:
        PrunedError: if it is.
    """
    looks = looks_of(curve.points, curve.recipe)
    if looks and is_worse(looks, rivals):
        last, best = max(looks), max(looks.values())
        others = [rival[last] for rival in rivals if last in rival]
        raise PrunedError(
            f"pruned after iteration {max(curve.points)} of {curve.recipe.iterations}: its mIoU of {100 * best:.2f} % "
            f"is below {100 * median(others):.2f} %, the median of the {len(others)} settings of its arm that were "
            "trained to the end before",
            dict(sorted(curve.points.items())),
        )
