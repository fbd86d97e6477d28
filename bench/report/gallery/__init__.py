"""The gallery of predictions: chosen images with their labels and every variant's errors."""
