"""Make a model that computes in fewer bits, with a report of what it gains and loses."""
