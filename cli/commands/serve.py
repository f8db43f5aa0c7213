"""`digits serve`: one flag for each setting of `service.config`."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from cli.errors import fail


def serve_command() -> Callable[..., None]:
    """The command; its flags follow from the fields of `Settings`."""
    from service.config import Settings, bounds, flag, variable

    def serve(**given: Any) -> None:
        """Serve models over gRPC until SIGTERM or Ctrl-C."""
        from service.config import SettingsError, read_settings
        from service.main import StartError
        from service.main import serve as run

        try:
            settings = read_settings({name: value for name, value in given.items() if value is not None})
        except SettingsError as error:
            fail(str(error), code=2)
        try:
            run(settings)
        except StartError as error:
            fail(str(error))

    parameters = []
    for name, field in Settings.model_fields.items():
        switch = field.annotation is bool
        value = field.get_default(call_default_factory=True)
        default = ("on" if value else "off") if switch else str(value)
        notes = [variable(name), *([f"default {default}"] if default else [])]
        option = typer.Option(
            f"{flag(name)}/--no-{flag(name)[2:]}" if switch else flag(name),
            metavar=None if switch else bounds(field) or "TEXT",
            help=f"{field.description} ({', '.join(notes)})",
            show_default=False,
        )
        kind = bool if switch else str  # `Settings` parses and checks the text
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
            )
        )
    serve.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    serve.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return serve
