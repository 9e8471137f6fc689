"""Users and the audit log, for admins."""
