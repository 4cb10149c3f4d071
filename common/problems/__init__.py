"""Problem types (RFC 9457), in answers and in failed jobs."""
