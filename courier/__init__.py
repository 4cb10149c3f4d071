"""The role for everything slow: what the API could not publish is published here."""
