"""What the roles share: jobs, messages, settings, ports and their adapters."""
