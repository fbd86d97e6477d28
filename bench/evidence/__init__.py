"""The conclusions that records allow, as numbers and without torch: statistics, effects, speed-ups, confounds.

:class:`bench.evidence.evidence.Evidence` holds those within one set of results, and
:class:`bench.evidence.compare.comparison.Comparison` those between two. Both use the same words:

- A comparison has two *sides*: a variant and the baseline, both sides of a timing, or the results A and B.
- ``delta`` is the difference of the sides and ``ratio`` their quotient; ``low`` and ``high`` are the ends of the 95 %
  interval of either.
- ``n`` is the number of seeds (or of blocks, of images) that a difference rests on, ``planned`` how many were planned.
- ``p`` is the p-value of one comparison by itself, ``p_holm`` the same after Holm's correction over its table.
- ``verdict`` is better, worse or not resolved; ``reason`` says why there is no other verdict.
"""
