"""The server: folds archived sessions and answers as Ray's own dashboard. Imports the archive only."""
