"""One's own account: who one is, the default project, the password."""
