"""Links that let people join a project."""
