"""Jobs, images and workers in MongoDB."""
