"""Training and the prediction of whole images, as functions of a network, data and a recipe."""
