"""Images to try, which ship with the models."""
