"""Laws of durations: how long things live, how long repairs take.

A law is declared once and used by every engine: `draw` for simulation, `phases` for Markov chains, `mean` and
`scv` for closed forms. One law a file; `parse_law` reads all of them from plain data.
"""

from __future__ import annotations

from hasim.model.laws.attempts import Attempts
from hasim.model.laws.csv_column import csv_base
from hasim.model.laws.election import Election
from hasim.model.laws.empirical import Empirical
from hasim.model.laws.exponential import Exponential
from hasim.model.laws.fixed import Fixed
from hasim.model.laws.gamma import Gamma
from hasim.model.laws.law import Branch, Law
from hasim.model.laws.lognormal import Lognormal
from hasim.model.laws.mixture import Mixture
from hasim.model.laws.reading import LawField, parse_law
from hasim.model.laws.takeover import Takeover
from hasim.model.laws.total import Total
from hasim.model.laws.uniform import Uniform
from hasim.model.laws.weibull import Weibull

__all__ = [
    "Attempts",
    "Branch",
    "Election",
    "Empirical",
    "Exponential",
    "Fixed",
    "Gamma",
    "Law",
    "LawField",
    "Lognormal",
    "Mixture",
    "Takeover",
    "Total",
    "Uniform",
    "Weibull",
    "csv_base",
    "parse_law",
]
