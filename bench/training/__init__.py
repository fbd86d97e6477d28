"""Training and whole-image prediction: functions of a network, data and a recipe."""
