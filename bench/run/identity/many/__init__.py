"""The keys of many trials at once: trials whose code is the same share one reading of it.

The values of a recipe's fields and of a component's choices are open in a reading: each notes whether it was looked at
(:class:`~..forms.pieces.OpenValue`). What the reading found holds for every trial with the same values in the slots
that were looked at, and with values of the same types in the others. Every key is that which :meth:`~..key.Keys.key`
makes.

:mod:`~.templates` finds the trials that share a reading; :mod:`~.shape` tells what of a variant they have in common;
:mod:`~.template` reads their code; :mod:`~.texts` puts the other values into the texts that keys are digests of; and
:mod:`~.on_demand` has a trial make its key when the key is first read.
"""
