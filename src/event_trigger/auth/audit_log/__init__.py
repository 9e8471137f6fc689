"""Shows the audit log to admins, and a project's part of it to the project's owners."""
