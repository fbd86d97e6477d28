"""The multiply-accumulates of networks whose forward is not ours to read: what runs, and what of it reaches the output.

- :mod:`~.dispatched` records the operators that one forward dispatches, with the closed forms of :mod:`~.formulas`.
- :mod:`~.reach` follows the output back through them, and names the modules whose output is thrown away.
- :mod:`~.sizes` counts at the size that was asked for where it can be computed, or extrapolates from small sizes.
- :mod:`~.saves` follows the memory of a training forward from small sizes in the same way.
- :mod:`~.counters` sets the count beside that of fvcore, and names every difference.
"""
