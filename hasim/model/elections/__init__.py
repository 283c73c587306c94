"""Elections of a leader by themselves: closed forms, and samplers that hold a million elections at once.

`closed_forms` has the formulas of Ongaro's thesis, `continuous` its timers (any real number between two bounds),
`ticks` those of etcd (whole ticks of each member's own clock). All three speak of one election after the leader
has gone; a cluster that lives on is the business of the engines.
"""
