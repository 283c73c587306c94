"""etcd: what the server adds to bare Raft."""
