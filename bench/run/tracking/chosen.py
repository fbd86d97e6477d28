"""The trackers that the options of a command ask for."""

from __future__ import annotations

from pathlib import Path

from bench.run.tracking.tracker import Tracker


def trackers(
    folder: Path, *, tensorboard: bool = False, mlflow: bool = False, wandb: bool = False, trackio: bool = False
) -> list[Tracker]:
    """The trackers that are asked for. Each is imported only if it is.

    Args:
        folder: the study's results folder. Trackers that keep several studies show the runs under its name, and files
            for TensorBoard lie in it.
        tensorboard: ``True`` to write event files for TensorBoard.
        mlflow: ``True`` to log to MLflow.
        wandb: ``True`` to log to Weights & Biases.
        trackio: ``True`` to log to Trackio.

    Raises:
        TrackerError: for one that cannot be used.
    """
    chosen: list[Tracker] = []
    if tensorboard:
        from bench.run.tracking.tensorboard import FOLDER, TensorBoard

        chosen.append(TensorBoard(folder / FOLDER))
    if mlflow:
        from bench.run.tracking.mlflow import MLflow

        chosen.append(MLflow(folder.name))
    if wandb:
        from bench.run.tracking.wandb import WeightsAndBiases

        chosen.append(WeightsAndBiases(folder.name))
    if trackio:
        from bench.run.tracking.trackio import Trackio

        chosen.append(Trackio(folder.name))
    return chosen
