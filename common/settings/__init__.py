"""Settings, read from the environment once, in the composition roots: a class for each role."""
