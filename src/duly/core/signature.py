"""A handler's signature as the schema of its payload.

The parameters (but for a first one annotated with the context's class) become a msgspec struct: what a submitter gives
is encoded and checked against it, and what a runner gets is decoded by it, with the same types on both sides.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from duly.core import jsonvalue
from duly.errors import ActionInvalid, PayloadInvalid

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Signature:
    """How a handler is called: with the context or not, awaited or not, and with which arguments.

    Raises `ActionInvalid` for what cannot be a handler.
    """

    def __init__(self, function: Callable[..., Any], context: type) -> None:
        self.is_async = inspect.iscoroutinefunction(function)
        self._name = getattr(function, "__qualname__", repr(function))
        parameters, hints = self._parameters(function)
        self.takes_context = bool(
            parameters and parameters[0].kind in _POSITIONAL and hints.get(parameters[0].name) is context
        )
        taken = parameters[1:] if self.takes_context else parameters
        for parameter in taken:
            if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
                stars = "*" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else "**"
                raise ActionInvalid(f"{self._name}: {stars}{parameter.name} has no schema; give each argument a name")
            if hints.get(parameter.name) is context:
                raise ActionInvalid(f"{self._name}: {parameter.name}: {context.__name__} must be the first parameter")
        self._positional = [p.name for p in taken if p.kind in _POSITIONAL]
        self._only_positional = {p.name: p.default for p in taken if p.kind is inspect.Parameter.POSITIONAL_ONLY}
        self._names = {p.name for p in taken}
        self._defaults = {p.name: p.default for p in taken if p.default is not inspect.Parameter.empty}
        self._required = [p.name for p in taken if p.default is inspect.Parameter.empty]
        self._decode = self._decoder(taken, hints)

    def _parameters(self, function: Callable[..., Any]) -> tuple[list[inspect.Parameter], dict[str, Any]]:
        try:
            parameters = list(inspect.signature(function).parameters.values())
            hints = typing.get_type_hints(function, include_extras=True)
        except Exception as error:  # noqa: BLE001 - annotations are the user's expressions
            raise ActionInvalid(f"{self._name}: its annotations cannot be read: {error}") from None
        return parameters, hints

    def _decoder(self, taken: list[inspect.Parameter], hints: dict[str, Any]) -> Callable[[Any], Any]:
        try:
            fields = [_field(parameter, hints.get(parameter.name, Any)) for parameter in taken]
            struct = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)
            return msgspec.json.Decoder(struct, dec_hook=_from_model).decode
        except (TypeError, ValueError, RuntimeError) as error:
            raise ActionInvalid(f"{self._name}: a parameter's type cannot be read from JSON: {error}") from None

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any], most: int) -> str:
        """Return a call's arguments as JSON text, or raise `PayloadInvalid` if the handler would not take them."""
        if len(args) > len(self._positional):
            raise PayloadInvalid(f"{self._name} takes {len(self._positional)} positional arguments, not {len(args)}")
        given = dict(zip(self._positional, args, strict=False))
        for name, value in kwargs.items():
            if name not in self._names:
                raise PayloadInvalid(f"{self._name} has no parameter {name!r}")
            if name in given:
                raise PayloadInvalid(f"{self._name} got two values for {name!r}")
            given[name] = value
        if len(given) < len(self._names) and (missing := [name for name in self._required if name not in given]):
            raise PayloadInvalid(f"{self._name} is missing " + ", ".join(map(repr, missing)))
        data = jsonvalue.dump(given, most, _to_json)
        self._checked(data)
        return data.decode()

    def decode(self, payload: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments that a payload holds, or raise `PayloadInvalid`.

        An object holds them by name; any other value is that of the only required parameter.
        """
        if payload == "{}" and not self._names:
            return (), {}
        if not payload.startswith("{"):
            payload = self._wrapped(payload)
        struct = self._checked(payload)
        values = {
            name: value for name in struct.__struct_fields__ if (value := getattr(struct, name)) is not msgspec.UNSET
        }
        if not self._only_positional:
            return (), values
        first = [values.pop(name, default) for name, default in self._only_positional.items()]
        return tuple(first), values

    def arguments(self, payload: str) -> dict[str, Any]:
        """Return the arguments that a payload holds, by name, with the defaults; raises `PayloadInvalid`."""
        first, values = self.decode(payload)
        return {**self._defaults, **dict(zip(self._only_positional, first, strict=False)), **values}

    def _wrapped(self, payload: str) -> str:
        if len(self._required) == 1:
            return f'{{"{self._required[0]}":{payload}}}'
        if payload == "null" and not self._required:
            return "{}"
        raise PayloadInvalid(
            f"{self._name} has {len(self._required)} required parameters: its payload must be an object"
        )

    def _checked(self, data: bytes | str) -> Any:
        try:
            return self._decode(data)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at ")
            raise PayloadInvalid(f"{self._name}: {message}", path.strip("`") or "$") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PayloadInvalid(f"{self._name}: not JSON: {error}") from None


def _field(parameter: inspect.Parameter, kind: Any) -> tuple[Any, ...]:
    """Return the field of a parameter; one with a default may be left out, and the handler's own default holds."""
    if parameter.default is inspect.Parameter.empty:
        return parameter.name, kind
    return parameter.name, kind if kind is Any else kind | msgspec.UnsetType, msgspec.UNSET


def _to_json(value: Any) -> Any:
    """Encode what msgspec cannot: models that know how to dump themselves (pydantic)."""
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise NotImplementedError
    return dump(mode="json")


def _from_model(kind: type, value: Any) -> Any:
    if kind is object:
        return value
    validate = getattr(kind, "model_validate", None)
    if validate is None:
        raise TypeError(f"{jsonvalue.one(kind)} cannot be made from JSON")
    return validate(value)
