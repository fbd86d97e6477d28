"""Histories of trials for TensorBoard, MLflow, Weights & Biases and Trackio, beside the records."""
