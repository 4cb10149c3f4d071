"""What the service costs and how much it carries: ``./start.sh bench``."""
