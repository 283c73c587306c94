"""Kubernetes at work: the API and its store, control loops in the processes that lead, kubelets, and pods.

One concept a file: `api` (requests, and who waits for them), `line` (messages in one direction), `watch` (news, and
lists after a break), `informer` (what a process knows), `loop` (one control loop), `pace` (how fast it asks), `control`
(the loops of one process), `kubelet` (a node), `reports` (what it says of its pods), `container` (one pod where it
runs), `proxy` (a node's rules), `cloud` (machines that come and go), `metrics` (what autoscalers go by), `serving`
(which workloads are up), `beginning` (how all is at first), `notes` (facts), `stillness` (when nothing is to come),
`world` (all of it, and the verbs of faults). People change things through `kubectl` (requests until they are done):
`releases` (revisions, and how their pods fare), `rollouts` (a new version of a workload, as declared and as it comes
about), `evictions` (what the API does about one), `drains` (nodes that are emptied, and go down for a while).
"""
