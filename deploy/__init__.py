"""The local stack, the command line, and what runs Portrait elsewhere."""
