"""What the API checks before it changes anything: no cookie alone decides there."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from fer_core.errors import FerError
from fer_core.web.login import has_token
from fer_core.web.safety import is_same_origin

Body = TypeVar("Body", bound=BaseModel)


class NotAllowedError(FerError):
    """A call that changes something came neither from a page of ours nor with the token."""


class BadBodyError(FerError):
    """The body is no JSON, or not what the call takes."""


def changes(view: Callable) -> Callable:
    """Marks a view that changes something: it needs JSON, and the Origin of our own page or the token."""

    @wraps(view)
    def checked(*arguments: Any, **named: Any) -> Any:
        if not request.is_json:
            raise UnsupportedMediaType
        if not is_same_origin() and not has_token():
            raise NotAllowedError(
                "This call changes something, and came neither from this server's page nor with the token.",
                hint=f"Send `Origin: {request.host_url.rstrip('/')}`, or the token: `Authorization: Bearer TOKEN`.",
            )
        return view(*arguments, **named)

    return checked


def body_as(model: type[Body]) -> Body:
    """Returns the JSON body of the request. Raises BadBodyError that names what is wrong."""
    try:
        return model.model_validate_json(request.get_data())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise BadBodyError(f"{place}: {first['msg']}.", hint="/api/v1/openapi.json says what is understood.") from None
