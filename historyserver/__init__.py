"""The command `historyserver`: a thin dispatcher, and what needs several rooms of the house."""
