"""The page of settings, from `service.config`."""

from docs.generate.markdown import code, head, table, text
from service.config import Settings, bounds, flag, variable


def page() -> str:
    """One row for each setting, in the order of `digits serve --help`."""
    rows = []
    for name, field in Settings.model_fields.items():
        switch = field.annotation is bool
        if field.default_factory is not None:
            default = ""
        elif switch:
            default = "on" if field.default else "off"
        else:
            default = str(field.default)
        given = f"{flag(name)}, --no-{flag(name)[2:]}" if switch else flag(name)
        values = f" ({code(bounds(field))})" if bounds(field) else ""
        rows.append((code(given), code(variable(name)), code(default), text(field.description or "") + values))
    return "\n".join(
        (
            head("Settings of `digits serve`", "`service/config.py`"),
            "Each setting is a flag and a variable. A flag wins over its variable; an empty variable is as if unset. "
            "A switch is turned off by `--no-…`, or by the value `false` of its variable.\n\n"
            "The server does not start with a wrong value or an unknown `DIGITS_` variable, and names the key.\n",
            table(("flag", "variable", "default", "meaning"), rows),
        )
    )
