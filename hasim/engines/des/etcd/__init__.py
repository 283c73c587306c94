"""An etcd quorum in the SimPy world, its clients, and a handle to play with it.

`world` puts members on nodes and knows who is in office; `role` lets its elections be the failovers of a part of a
cluster; `client` and `workload` are those who use it. `handle` is the quorum between whose calls time stands still,
with `founding` (which lists and snapshots it begins with), `judges` (what was promised and kept), `reply`, `tables`,
`settings` and `arguments` beside it.
"""
