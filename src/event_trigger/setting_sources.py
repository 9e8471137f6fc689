"""Reads each setting by its one documented name.

pydantic-settings also reads a field with an alias by prefix and field name. Kubernetes sets
`EVENT_TRIGGER_PORT` to a URL where a Service is called event-trigger, and that is not `PORT`.
"""

from typing import Any

from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
)
from typing_extensions import override


class DocumentedSettings(BaseSettings):
    """Settings from the environment and `.env`; code may still give them by field name."""

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Environment(settings_cls), _DotEnv(settings_cls)


class _Environment(EnvSettingsSource):
    @override
    def __call__(self) -> dict[str, Any]:
        return _without_field_names(self.settings_cls, super().__call__())


class _DotEnv(DotEnvSettingsSource):
    @override
    def __call__(self) -> dict[str, Any]:
        return _without_field_names(self.settings_cls, super().__call__())


def _without_field_names(settings: type[BaseSettings], found: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what was found by the name of a field that has an alias."""
    fields = settings.model_fields
    aliased = {name for name, field in fields.items() if field.validation_alias is not None}
    return {name: value for name, value in found.items() if name not in aliased}
