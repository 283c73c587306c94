"""Leases: of several candidates one acts, for as long as it renews."""
