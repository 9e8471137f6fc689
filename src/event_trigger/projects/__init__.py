"""Projects, their members and roles, and invitations."""
