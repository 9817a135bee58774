"""Settings: frozen dataclasses filled from JSON or YAML, where a default lives in one place."""

import dataclasses
import json
import math
import re
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from unimat import strict_yaml
from unimat.errors import UserError

T = TypeVar("T")
POWER_OF_TEN = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")  # 1e-4, without a point, is text to YAML 1.1


def load_settings(kind: type[T], source: str | Path | dict[str, Any] | None, where: str = "settings") -> T:
    """Settings of dataclass `kind` from a mapping, JSON text, or the path of a JSON or YAML file.

    Args:
        kind: a frozen dataclass; fields may be dataclasses themselves.
        source: None gives the defaults.
        where: what to call the settings in an error.

    Raises:
        UserError: on an unknown key, a missing key, or a value of the wrong type.
    """
    return _build(kind, given(source, where), where)


def given(source: str | Path | dict[str, Any] | None, where: str = "settings") -> dict[str, Any]:
    """The mapping that a source of `load_settings` stands for, before defaults.

    Raises:
        UserError: if it is no mapping, or no such file.
    """
    if source is None:
        return {}
    return source if isinstance(source, dict) else _parse(source, where)


def as_dict(settings: Any) -> dict[str, Any]:
    """Plain JSON-ready mapping of a settings dataclass."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines such as ``channels: 64 here, 128 there`` for each setting whose value differs."""
    lines = []
    for key in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(key), theirs.get(key)
        if isinstance(here, dict) and isinstance(there, dict):
            lines += differences(here, there, f"{prefix}{key}.")
        elif here != there:
            lines.append(f"{prefix}{key}: {here!r} here, {there!r} there")
    return lines


def _parse(source: str | Path, where: str) -> dict[str, Any]:
    value = strict_yaml.load(source, where)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected a mapping of settings, found {type(value).__name__}")
    return value


def _build(kind: type[T], values: dict[str, Any], where: str) -> T:
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise UserError(f"{where}: unknown key {key!r}; known keys: {', '.join(fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise UserError(f"{where}: key {name!r} is missing")
    try:
        return kind(**{key: _convert(hints[key], value, f"{where}.{key}") for key, value in values.items()})
    except ValueError as error:  # a dataclass may check its own values
        raise UserError(f"{where}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        options = [arg for arg in args if arg is not type(None)]
        # The last one's error is the one that is told: of a mapping that of a dataclass, else that of the others.
        options.sort(key=lambda option: dataclasses.is_dataclass(option) == isinstance(value, dict))
        for option in options[:-1]:
            try:
                return _convert(option, value, where)
            except UserError:
                continue
        return _convert(options[-1], value, where)
    if origin is typing.Literal:
        if value not in args:
            raise UserError(f"{where}: {value!r} is not one of {', '.join(map(repr, args))}")
        return value
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _build(typing.cast(type, hint), value, where)
    if origin is tuple and isinstance(value, list | tuple):
        inner = args[:1] * len(value) if args[1:] == (Ellipsis,) else args
        if len(inner) != len(value):
            raise UserError(f"{where}: expected {len(inner)} values, found {len(value)}")
        return tuple(_convert(each, item, where) for each, item in zip(inner, value, strict=True))
    if origin is dict and isinstance(value, dict):
        return {_convert(args[0], k, where): _convert(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if hint is Any:
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(float(value), where)
    if hint is float and isinstance(value, str) and POWER_OF_TEN.fullmatch(value):
        return _finite(float(value), where)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    quote = "; quote it" if hint is str and isinstance(value, bool | int | float) else ""
    raise UserError(f"{where}: expected {getattr(hint, '__name__', hint)}, found {value!r}{quote}")


def _finite(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise UserError(f"{where}: {value} is no finite number; give one")
    return value
