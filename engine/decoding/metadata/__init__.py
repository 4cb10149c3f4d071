"""Take the metadata out of a file before it is decoded, and keep the orientation.

Text, profiles and previews change no pixel. What is wrong with them must not fail an image, and
what is large about them must not cost time. One module per format.
"""
