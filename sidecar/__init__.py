"""The collector: one small process beside every Ray node. Imports the archive only."""
