"""The HTTP role: an image in, a ticket out."""
