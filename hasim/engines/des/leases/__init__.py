"""Leader election by leases in the SimPy world: candidates on nodes, the store that they ask, what leaders write to."""
