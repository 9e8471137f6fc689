"""Reads the bodies that senders of webhooks choose: JSON, forms, multipart, text, or nothing."""
