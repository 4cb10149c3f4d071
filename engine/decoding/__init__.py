"""From the bytes of an image to its upright RGB pixels."""
