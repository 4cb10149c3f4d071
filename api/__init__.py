"""The HTTP role: it accepts images and answers with jobs."""
