"""The streaming core: micro-batches in, one transaction out, state that survives."""
