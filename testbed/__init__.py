"""A system to test and to measure: its servers, roles, clients and models, for any test."""
