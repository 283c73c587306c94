"""One history at a time: SimPy processes for everything that happens, in a form that a student can read.

`gates` says what is up, `live` is the state of things, `clocks` lets units fail and come back, `crews` are
what repairs wait for, `roles` says who is active, `shocks` and `calendar` are bursts and planned windows,
`scripts` plays scripted faults, `history` and `causes` write down what happened, and `simulate` runs it all.
"""

from hasim.engines.des.simulate import simulate

__all__ = ["simulate"]
