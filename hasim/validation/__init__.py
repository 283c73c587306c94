"""The models held against what was measured on real systems and what others published.

`etcd_trials` plays the experiments of the record of etcd 3.4.23 in the simulated world, any configuration of them;
`record` reads that record and the published numbers; `verdicts` says what agrees, and `raft_report` puts it together.
`balancers` does the same for the record of HAProxy 2.6.12 and nginx 1.22.1, and `backoff` for clients that contend.
"""
