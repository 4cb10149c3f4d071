"""Drills: harm done to a whole system on purpose, and an audit of every job it accepted."""
