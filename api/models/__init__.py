"""The resource ``/models``."""
