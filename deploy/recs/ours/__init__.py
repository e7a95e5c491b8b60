"""Our own recommenders, behind the same interface as the peers."""
