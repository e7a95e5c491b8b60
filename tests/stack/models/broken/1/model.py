"""Cannot be loaded."""

raise ValueError("no weights here")
