"""Take the metadata out of a file before it is decoded, and keep the orientation.

Text, profiles and previews change no pixel, so their faults must not fail an image, and their
size must not cost time. One module per format.
"""
