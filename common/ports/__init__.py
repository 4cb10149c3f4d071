"""What the roles need from the outside world, one module per use."""
