"""Ablation studies and cost benchmarks for semantic segmentation.

The words of the project, one meaning each (docs/architecture.md has the same table):

| word | its one meaning |
| --- | --- |
| part | a module class with its choices bound, not yet built |
| choice | a keyword-only parameter of a component: a study may vary it |
| fact | a positional parameter of a component: its neighbours determine it |
| level | one of the named changes of a factor |
| Level | with a capital: the channels and the stride of a feature map |
| variant | a network as parts in slots, with its losses; its name lists its levels |
| cell | one combination of levels, with the variant and the recipe that it stands for |
| stage | a kind of measurement: quality, cost or speed |
| trial | one measurement to make: a variant, a stage and, where it has one, a seed; it has a key |
| key | a digest of all that could change what a trial measures: settings, seed, data, code (not its names and texts) |
| record | the JSON file of one trial: what it measured, or how it failed |
| outcome | how a trial ended: done, excluded, out of memory, diverged, failed, interrupted, timed out or pruned |
| plan | what `study.json` holds: the question, the factors and every trial of the study with its key |
| schedule | the trials of a study on this machine: which of them are done, and which will run |
| column | a measured quantity: name, stored and shown unit, which way is better, definition |
| setting | the conditions under which a network is timed: input, precision, memory format, execution mode, phase |
| against | the level or variant that another is compared with besides the baseline |
| contrast | a difference within a study that its plan allows to estimate: variants with weights that add up to 0 |
| comparison | two results folders set against each other (`bench compare`) |
| side | one of the two results folders of a comparison |
| evidence | the conclusions that a set of results allows, each computed once: effects, verdicts, speed-ups, confounds |
| verdict | better, worse or not resolved, after Holm's correction |
| confound | a difference between two variants that no factor between them is about |
| counterpart | the published row that belongs to a variant |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
