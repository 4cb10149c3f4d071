"""From a model in float32 to one that computes in fewer bits, with a report of what it costs."""
