"""The callers whose answers are compared in two ways, or with each other."""

import httpx

from tests.support.services import ADA, ADMIN, BOB, Service


def callers_without_keys(service: Service, ada: httpx.AsyncClient) -> dict[str, httpx.AsyncClient]:
    """Gives callers by name, who call for what Ada has made in her own project."""
    return {
        "its owner": ada,
        "somebody else": service.client(BOB),
        "an admin in another project": service.client(ADMIN),
        "an admin in its project": service.client(ADMIN, project=ADA),
        "an admin of all projects": service.client(ADMIN, project="*"),
        "nobody": service.client(),
    }
