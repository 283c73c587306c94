"""Leases with a time to live held against real stores: Redis 7.0.15 and etcd 3.4.23."""
