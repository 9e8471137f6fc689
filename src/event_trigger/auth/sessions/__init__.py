"""A user's own logins: listed, and ended one by one or all but the present one."""
