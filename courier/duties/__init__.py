"""What the courier does again and again, a module a duty."""
