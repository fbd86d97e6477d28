"""A training by several processes, each of which computes a share of every batch, with the numbers of one process.

The processes of a :mod:`~.group` make the :mod:`~.samples` of their own share and pass them through the network, whose
batch normalisation (:mod:`~.norms`) takes the statistics of the whole batch. The outputs are gathered (:mod:`~.sums`),
so that every process computes each loss over the whole batch, whatever the loss is, and its gradient for its own share.
The gradients are summed over the processes, after which every process makes the same update (:mod:`~.share`).

Apart from the rounding of sums in another order, losses, weights and statistics are those that one process computes
with the same batch. Random numbers that a network draws (dropout) are others: each process has a stream of its own.
"""
