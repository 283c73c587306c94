"""What the engines hand back: a Solution (exact), a Sample (many histories) or a Run (one history).

The three print, tabulate and serialise alike; every number in them is an `Estimate`. A Comparison is what runs of
several models showed.
"""

from hasim.results.comparison import Comparison, Difference
from hasim.results.estimate import Estimate
from hasim.results.figures import Blame, Cut, ServiceFigures
from hasim.results.run import Run
from hasim.results.sample import Sample
from hasim.results.solution import Solution

__all__ = ["Blame", "Comparison", "Cut", "Difference", "Estimate", "Run", "Sample", "ServiceFigures", "Solution"]
