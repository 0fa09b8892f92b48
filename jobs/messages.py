"""What a message in a queue of ours looks like. Whoever can write to Redis can put anything there: it is checked first.

Celery (as it is sent, protocol 2) trusts what it takes from a queue: an id that is a list, or no body, ends the worker,
which puts the message back for the next one. Imports neither Celery nor Redis.
"""

import base64
import json
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MALFORMED = "fer.malformed"
"""The list in Redis with what was set aside, the newest first: `LRANGE fer.malformed 0 -1`."""
MOST_MALFORMED = 100
LONGEST_KEPT = 64 * 1024
"""Characters of one of them that are kept."""

_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=1000)]


class _Part(BaseModel):
    """As Celery takes it: what is text is not read as a number. It adds fields of its own."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class _Headers(_Part):
    id: Annotated[str, Field(min_length=1, max_length=200)]
    task: Annotated[str, Field(min_length=1, max_length=200)]
    timelimit: list[_Seconds | None] | None = Field(default=None, min_length=2, max_length=2)
    retries: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    eta: _Text | None = None
    expires: _Text | None = None
    shadow: _Text | None = None
    root_id: _Text | None = None
    parent_id: _Text | None = None
    group: _Text | None = None
    group_index: int | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None
    compression: None = None


class _DeliveryInfo(_Part):
    exchange: _Text
    routing_key: _Text


class _Properties(_Part):
    delivery_tag: Annotated[str, Field(min_length=1, max_length=200)]
    delivery_info: _DeliveryInfo
    body_encoding: Annotated[str, Field(pattern="^base64$")]
    correlation_id: _Text | None = None
    reply_to: _Text | None = None
    priority: Annotated[int, Field(ge=0, le=255)] | None = None


class _Message(_Part):
    body: str
    headers: _Headers
    properties: _Properties
    content_type: Annotated[str, Field(alias="content-type", pattern="^application/json$")]
    content_encoding: Annotated[str, Field(alias="content-encoding", pattern="^utf-8$")]


class Waiting(NamedTuple):
    """A message that waits in a queue, with the names that Celery has for one that was received."""

    id: str
    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    delivery_info: dict[str, str]


class MalformedError(ValueError):
    """A message that is none of Celery's."""


def parsed_message(raw: bytes | str) -> Waiting:
    """Returns what stands in a queue as a message. Raises MalformedError."""
    try:
        return checked_message(json.loads(raw))
    except (ValueError, RecursionError) as error:
        raise MalformedError(str(error)) from None


def checked_message(message: Any) -> Waiting:
    """Returns a message, as JSON gives it, if workers and readers can take it. Raises MalformedError."""
    try:
        checked = _Message.model_validate(message)
        args, kwargs, embed = json.loads(base64.b64decode(checked.body, validate=True))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise MalformedError(f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}") from None
    except (ValueError, TypeError, RecursionError):
        raise MalformedError("body: it is no JSON of arguments") from None
    if not (isinstance(args, list) and isinstance(kwargs, dict) and isinstance(embed, dict | None)):
        raise MalformedError("body: it is not [arguments, named arguments, options]")
    about = checked.headers
    return Waiting(about.id, about.task, args, kwargs, checked.properties.delivery_info.model_dump())
