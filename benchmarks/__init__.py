"""Benchmarks: what a job costs and how many the service can do (``./start.sh bench``)."""
