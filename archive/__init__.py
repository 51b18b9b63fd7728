"""What is stored, and how: names, segments, catalog, stores. Imports nothing else of this project."""
