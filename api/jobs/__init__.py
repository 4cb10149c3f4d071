"""The resource ``/jobs``."""
