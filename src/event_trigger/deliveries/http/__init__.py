"""Sends one attempt over HTTP: message, signature, connection and response."""
