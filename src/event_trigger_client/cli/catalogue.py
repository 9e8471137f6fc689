"""Names the commands and where they are; importing it loads none of them."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A command: the module of this package that has it, its name there, and a line of help."""

    module: str
    name: str
    help: str


COMMANDS = {
    "login": Entry("login", "login", "sign in, and keep an API key for this machine"),
    "logout": Entry("login", "logout", "forget the kept API key, and end it"),
    "whoami": Entry("login", "whoami", "show the user, the project and the scopes of your calls"),
    "profiles": Entry("profile_commands", "app", "list and choose the services that you call"),
    "status": Entry("status", "status", "tell whether everything is all right; exit 8 if not"),
    "triggers": Entry("triggers", "app", "list, create, change, fire and explain triggers"),
    "schedule": Entry("schedule", "schedule", "show when a schedule fires; nothing is stored"),
    "events": Entry("events", "app", "follow, list, replay and export events"),
    "deliveries": Entry("deliveries", "app", "list, send again and cancel deliveries"),
    "destinations": Entry("destinations", "app", "list, create, test and rotate destinations"),
    "keys": Entry("keys", "app", "list, create and revoke API keys"),
    "plan": Entry("files", "plan", "show what applying a file would change"),
    "apply": Entry("files", "apply", "make the service as a file has it, or change nothing"),
    "export": Entry("files", "export", "write the file of what the service has"),
    "import": Entry("files", "import_app", "write a file from a crontab, for review"),
    "schema": Entry("files", "schema", "print the JSON Schema of files, for editors"),
    "listen": Entry("listen", "listen", "send events to a program on your own machine"),
    "signature": Entry("signature", "app", "sign and verify requests as deliveries are signed"),
    "completion": Entry("completion", "completion", "print the script by which a shell completes"),
    "api": Entry("api", "api", "call any path of the API"),
}
