"""One attempt over HTTP: the message, its signature, the connection and the response."""
