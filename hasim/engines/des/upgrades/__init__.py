"""Upgrades of a live cluster: pods come and go in the places of a pool, requests go elsewhere, somebody watches."""
