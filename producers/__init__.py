"""Events in: the demo shop, replay of files, the catalogue loader."""
