"""The cost of a network that needs no clock: operations, parameters, activations, memory."""
