"""The whole system on one machine: servers and roles under one supervisor."""
