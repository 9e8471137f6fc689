"""The OpenAPI document: what FastAPI says, made valid, exact and good to generate clients from."""
