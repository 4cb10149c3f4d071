"""Liveness and readiness, for load balancers and for people."""
