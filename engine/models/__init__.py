"""The three kinds of models, and how each is loaded."""
