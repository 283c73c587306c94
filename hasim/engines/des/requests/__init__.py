"""The request path: callers, balancers and replicas, as callbacks on one event loop.

A request costs two events as a rule, its arrival and its completion; what happens at one instant is plain calls.

`path` wires everything and has the verbs of faults. `source` makes calls, `caller` sends and repeats them, `exchange`
is what travels. `front` is a balancer at work, `view` what it thinks of its servers, `checker` its checks; `direct`
stands where there is no balancer. `replica` serves, `sharing` does so by processor sharing, `pair` with a standby;
`needs`, `kubelet` and `collections` act on it. `links` is the network, `deadlines` are timeouts, `ticking` drives small
machines, `notes` and `ledger` make the log, and `feed_forward` is all of it as arrays.
"""
