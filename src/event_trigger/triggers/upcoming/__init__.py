"""Shows the next instants of all triggers of a project, merged."""
