"""The system under test: its servers, roles, clients and models, for tests and benchmarks."""
