"""The request path held against real load balancers: HAProxy 2.6.12 and nginx 1.22.1."""
