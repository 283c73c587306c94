"""The request path: callers, balancers and replicas, as callbacks on one event loop.

A request costs two events as a rule, its arrival and its completion; all that happens at one instant is plain calls.
"""
