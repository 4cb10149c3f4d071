"""Format and dimensions of an image, from its header alone, at a bounded cost.

One module per format. Each has a ``SIGNATURE`` and a ``read_size``. None looks at more segments,
chunks or entries than a constant says, however long the file is.
"""
