"""Kubernetes at work: the API and its store, control loops in the processes that lead, kubelets, and pods.

One concept a file: `api` (requests, and news for whoever watches), `informer` (what a process knows), `loop` (one
control loop), `control` (the loops of one process), `kubelet` (a node and its pods), `container` (one pod where it
runs), `world` (all of it, and which workloads serve).
"""
