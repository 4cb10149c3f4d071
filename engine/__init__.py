"""The engine: the process that decodes images and runs models, apart from its consumer."""
