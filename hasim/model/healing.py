"""Self-healing, declared: what a remedy watches in a cluster, how long its treatment takes, and whether it helps."""

from __future__ import annotations

from typing import Final, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError, nearest
from hasim.model.laws import LawField
from hasim.protocols.reconcile.remedy import Action, Remedy
from hasim.units import Count, Share

NODES: Final = "nodes"
"""What `of` says for the nodes of `kubernetes`."""

ACTIONS: Final[dict[str, Action]] = {
    "overloaded": "restart",
    "hangs": "restart",
    "disk full": "clear disk",
    "node not ready": "drain and replace",
}
"""Every symptom that is played, and what can be done about it."""


class Healing(Declared):
    """A remedy at work: `of` a pool that serves, of a quorum that plays Raft, or of the `nodes` of `kubernetes`.

    | symptom | of | what is seen | what is done |
    |---|---|---|---|
    | overloaded | a pool | more than `in_flight` requests are served and wait | its process is restarted |
    | hangs | a pool | the process is frozen, or gone, and its host stands | its process is restarted |
    | disk full | a quorum | a member's writes fail | room is made |
    | node not ready | nodes | the control plane has given it up | it is deleted with its pods, and joins anew |

    A restart takes the server away for `takes`, with all that it has. Only `simulate` plays remedies.
    """

    of: str = Field(description="A pool with `serving`, a quorum with `raft`, or `nodes`.")
    remedy: Remedy = Field(description="Symptom, action, and the limits.")
    takes: LawField = Field(description="How long a treatment takes.")
    works: Share = Field(default=1.0, gt=0, description="Probability that it helps; otherwise it may be tried again.")
    in_flight: Count | None = Field(
        default=None, ge=0, description="What counts as overloaded: more requests than that, served and waiting."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        symptom, action = self.remedy.symptom, self.remedy.action
        if symptom not in ACTIONS:
            said = f"symptoms are {', '.join(ACTIONS)}{nearest(symptom, ACTIONS)}"
            raise ModelError.of([at(("remedy", "symptom"), f"got {symptom!r}; {said}")])
        if action != ACTIONS[symptom]:
            said = f"what helps against {symptom!r} is {ACTIONS[symptom]!r}"
            raise ModelError.of([at(("remedy", "action"), f"got {action!r}; {said}")])
        if (self.in_flight is None) == (symptom == "overloaded"):
            raise ValueError("`in_flight` says what counts as overloaded: give it for that symptom, and for no other")
        return self
