"""What results look like: plots on matplotlib axes, and pages for a terminal.

Importing this changes no style and loads no matplotlib; that happens when something is drawn.
"""

from hasim.views.blame import plot_blame
from hasim.views.comparison import plot_comparison
from hasim.views.downtime import plot_downtime
from hasim.views.leaders import plot_leaders
from hasim.views.requests import plot_latency, plot_requests
from hasim.views.spacetime import spacetime
from hasim.views.tasks import plot_tasks
from hasim.views.timeline import timeline
from hasim.views.upgrades import plot_upgrade, plot_upgrades

__all__ = [
    "plot_blame",
    "plot_comparison",
    "plot_downtime",
    "plot_latency",
    "plot_leaders",
    "plot_requests",
    "plot_tasks",
    "plot_upgrade",
    "plot_upgrades",
    "spacetime",
    "timeline",
]
