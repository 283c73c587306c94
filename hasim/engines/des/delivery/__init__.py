"""Queues in the SimPy world: a broker, workers on nodes, the resource that has their results, and a producer."""
