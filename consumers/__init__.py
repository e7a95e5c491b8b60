"""Events to state to models to outputs: one module a role, and the pure parts they call."""
