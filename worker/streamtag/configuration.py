"""Reading the settings: file, environment and command line merged, with where each value came from.

Precedence, strongest first: command line, environment (``STREAMTAG_LEASE__SECONDS``), file, default.

Values are YAML, but no setting is a number or true to YAML: what it is, its declaration says. A user's name may be 123,
and ``off`` be a word.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from streamtag.errors import ConfigError, did_you_mean
from streamtag.redaction import HIDDEN, redact, redact_url
from streamtag.settings import Settings

PREFIX = "streamtag_"  # of our environment, in small letters


def load(config: Path | None = None, overrides: dict[str, Any] | None = None) -> tuple[Settings, dict[str, str]]:
    """Read the settings.

    Args:
        config: YAML file, or None for ``STREAMTAG_CONFIG`` or no file.
        overrides: dotted names to values, from the command line.

    Returns:
        The settings and, for each dotted name that is not a default, where it came from.

    Raises:
        ConfigError: an unknown key or a value out of range; names each of them and never quotes a secret.
    """
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    environment = _environment()
    named = environment.pop("config", None)  # also where the command line names another file: it is no setting
    config = config or (Path(named) if named else None)
    if config is not None:
        _merge(merged, origins, _read_file(config), f"file {config}")
    _merge(merged, origins, environment, "environment")
    for name, value in (overrides or {}).items():
        _merge(merged, origins, _nest(name, value), "command line")
    try:
        return Settings(**merged), origins
    except ValidationError as error:
        lines = [_explain(dict(fault), origins) for fault in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def termination_log() -> Path:
    """Where to say that the settings themselves are wrong: what the environment says of it, or the default."""
    variable = f"{PREFIX}worker__termination_log"
    named = next((value for name, value in os.environ.items() if name.lower() == variable), "")
    return Path(named or Settings().worker.termination_log)


def forget_secrets() -> None:
    """Take the secrets out of this process's environment, once they are read: its children need none of them.

    A decoder reads strangers' bytes, and what it is given at its start it could tell.
    """
    defaults = Settings()
    secret = {
        f"{PREFIX}{group}__{name}"
        for group in Settings.model_fields
        for name, declared in type(getattr(defaults, group)).model_fields.items()
        if declared.annotation is SecretStr or declared.json_schema_extra == {"secret": True}
    }
    for name in [name for name in os.environ if name.lower() in secret]:
        del os.environ[name]


def _environment() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, value in os.environ.items():
        if not variable.lower().startswith(PREFIX):
            continue
        path = variable.lower().removeprefix(PREFIX).split("__")
        if path == ["config"]:
            found["config"] = value
            continue
        name = ".".join(path)
        if path[0] not in Settings.model_fields:
            raise ConfigError(f"{variable.upper()}: {_unknown(name)}")
        content = _text(name, value) if _is_text(name) else _content(value, variable.upper())
        _update(found, _nest(name, content))
    return found


def _update(into: dict[str, Any], values: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _update(into[name], value)
        else:
            into[name] = value


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"{path}: no such settings file")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
        return dict(content)
    except (yaml.YAMLError, TypeError, ValueError) as error:
        problem = getattr(error, "problem_mark", None)
        where = f" at line {problem.line + 1}" if problem else ""
        raise ConfigError(f"{path}: not valid YAML{where}: groups of settings are expected") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None


def _merge(into: dict[str, Any], origins: dict[str, str], values: dict[str, Any], origin: str, path: str = "") -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            if not isinstance(into.get(name), dict):
                into[name] = {}
            _merge(into[name], origins, value, origin, f"{path}{name}.")
        elif value is None and not path:
            continue  # a group with nothing under it in the file
        else:
            empty = value is None and not _kinds(path + name).isdisjoint({str, SecretStr})  # nothing behind its name
            into[name] = "" if empty else value
            origins[path + name] = origin


class _Loader(yaml.SafeLoader):
    """YAML whose words and numbers stay text, but for null."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in known if tag.endswith((":null", ":merge"))]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _content(value: str, what: str) -> Any:
    with suppress(ValueError):  # JSON's way to write what lies beyond 16 bits is not YAML's
        return json.loads(value, parse_int=str, parse_float=str)
    try:
        return yaml.load(value, _Loader)
    except yaml.YAMLError:
        raise ConfigError(f"{what}: the value is not valid YAML") from None


def _is_text(name: str) -> bool:
    """Whether a setting is one text: a password may hold any sign that means something to YAML."""
    kinds = _kinds(name) - {NoneType}
    return bool(kinds) and all(kind in (str, SecretStr, Path) or get_origin(kind) is Literal for kind in kinds)


def _text(name: str, value: str) -> str | None:
    return None if NoneType in _kinds(name) and value in ("", "~", "null") else value


def _kinds(name: str) -> set[Any]:
    """The types of a setting's values; none where there is no such setting."""
    group, _, field = name.partition(".")
    fields = _groups()[group].model_fields if group in Settings.model_fields else {}
    if field not in fields:
        return set()
    declared = fields[field].annotation
    return set(get_args(declared)) if get_origin(declared) in (Union, UnionType) else {declared}


def _nest(name: str, value: Any) -> dict[str, Any]:
    for part in reversed(name.split(".")):
        value = {part: value}
    return dict(value)


_REMEDIES = {
    "string_type": "a text is expected: write it in quotes",
    "model_type": "a group of settings is expected",
    "list_type": "a list is expected: write it as [one, two]",
}


def _explain(fault: dict[str, Any], origins: dict[str, str]) -> str:
    group_and_field, inside = fault["loc"][:2], fault["loc"][2:]
    # Of a setting that may be of several types, pydantic names one of them there: literal['auto'].
    inside = tuple(part for part in inside if isinstance(part, int) or part.isidentifier())
    name = ".".join(str(part) for part in (*group_and_field, *inside))
    origin = origins.get(name, "") or next((o for key, o in origins.items() if name.startswith(key + ".")), "")
    if fault["type"] == "extra_forbidden":
        text = _unknown(name)
    else:
        text = _REMEDIES.get(fault["type"]) or redact(str(fault["msg"]).removeprefix("Value error, "))
    return f"{name or 'settings'}: {text}" + (f" (from {origin})" if origin else "")


def _unknown(name: str) -> str:
    groups = _groups()
    known = [*groups, *(f"{group}.{field}" for group, declared in groups.items() for field in declared.model_fields)]
    return f"unknown setting{did_you_mean(name, known) or '; `streamtag config show` lists them'}"


def _groups() -> dict[str, type[BaseModel]]:
    """The groups of settings by their names."""
    declared = {name: field.annotation for name, field in Settings.model_fields.items()}
    return {name: group for name, group in declared.items() if isinstance(group, type) and issubclass(group, BaseModel)}


def parse_override(text: str) -> tuple[str, Any]:
    """Read ``group.name=value`` of ``--set``; the value is YAML, so lists work, or a text as it is.

    Raises:
        ConfigError: no ``=`` in it, or no such YAML.
    """
    name, separator, value = text.partition("=")
    if not separator or "." not in name:
        raise ConfigError(f"--set {name!r}: write it as group.name=value, for example lease.seconds=60")
    name, value = name.strip(), value.strip()
    if _is_text(name):
        return name, _text(name, _unquoted(value))
    return name, _content(value, f"--set {name}")


def _unquoted(value: str) -> str:
    """Quotes around a text are YAML's, if there are two."""
    if value[:1] not in ("'", '"'):
        return value
    with suppress(yaml.YAMLError):
        if isinstance(content := yaml.load(value, _Loader), str):
            return content
    return value


def flatten(settings: Settings) -> dict[str, Any]:
    """Dotted names to values, in declaration order. Secrets appear as their redacted text."""
    flat: dict[str, Any] = {}
    for group_name in Settings.model_fields:
        group = getattr(settings, group_name)
        for name in type(group).model_fields:
            value = getattr(group, name)
            if isinstance(value, SecretStr):
                value = _shown(name, value.get_secret_value())
            elif isinstance(value, list):  # records in it hide their secrets themselves
                value = [one.model_dump(mode="json") if isinstance(one, BaseModel) else one for one in value]
            flat[f"{group_name}.{name}"] = value
    return flat


def _shown(name: str, secret: str) -> str:
    return redact_url(secret) if name == "url" else HIDDEN if secret else ""


def template() -> str:
    """``config/worker.yaml``: every option with its default and description."""
    defaults = Settings()
    lines = [
        "# Every setting of a Streamtag worker, at its default. Written by `streamtag config template`.",
        "# The environment overrides this file: lease.seconds is STREAMTAG_LEASE__SECONDS.",
    ]
    for group_name in Settings.model_fields:
        lines += ["", f"{group_name}:"]
        group = getattr(defaults, group_name)
        for name, declared in type(group).model_fields.items():
            value = getattr(group, name)
            value = value.get_secret_value() if isinstance(value, SecretStr) else value
            value = str(value) if isinstance(value, Path) else value
            lines += [f"  # {declared.description}", f"  {name}: {in_yaml(value)}"]
    return "\n".join(lines) + "\n"


def in_yaml(value: Any) -> str:
    """A value as a settings file has it, in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1_000_000, allow_unicode=True)
    return text.strip().removesuffix("...").strip()
