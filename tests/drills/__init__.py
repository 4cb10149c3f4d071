"""Drills: harm a complete system on purpose, then audit every job that it accepted."""
