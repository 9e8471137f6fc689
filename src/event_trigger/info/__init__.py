"""Says what this installation is, what it allows a project, and how much of that is used."""
