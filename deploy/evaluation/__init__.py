"""What profiles are worth, measured: truth of statements and texts, obedience, attacks, cost, and use for retrieval."""
