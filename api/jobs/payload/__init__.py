"""From the body of a request to an image and the options of its job."""
