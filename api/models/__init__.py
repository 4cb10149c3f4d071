"""The resource ``/models``: what can be asked for."""
