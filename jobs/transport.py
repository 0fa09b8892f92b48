"""Redis as Kombu talks to it: what is no message of Celery's is set aside, and ends no worker.

Whoever can write to Redis can put anything into a queue. Celery trusts what it takes from there: an id that is a list,
or no body, ends the worker, which puts the message back for the next one. So it is checked first (as it is sent,
protocol 2).
"""

import base64
import json
import logging
import os
from contextlib import suppress
from queue import Empty
from typing import Annotated, Any

from kombu.transport import TRANSPORT_ALIASES, redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from redis.exceptions import RedisError, ResponseError

from fer_core.job.arguments import queues

MALFORMED = "fer.malformed"
"""The list in Redis with what was set aside, the newest first: `LRANGE fer.malformed 0 -1`."""
MOST_MALFORMED = 100
LONGEST_KEPT = 64 * 1024  # Characters of one of them that are kept

_logger = logging.getLogger(__name__)
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=1000)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Part(BaseModel):
    """As Celery takes it: what is text is not read as a number. It adds fields of its own."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


_Headers = create_model(
    "_Headers",
    __base__=_Part,
    id=_Name,
    task=_Name,
    timelimit=(list[_Seconds | None] | None, Field(default=None, min_length=2, max_length=2)),
    retries=(Annotated[int, Field(ge=0, lt=2**31)] | None, None),
    **dict.fromkeys(("eta", "expires", "shadow", "root_id", "parent_id", "group"), (_Text | None, None)),
    **dict.fromkeys(("argsrepr", "kwargsrepr", "origin"), (str | None, None)),
    **dict.fromkeys(("group_index", "replaced_task_nesting"), (int | None, None)),
    ignore_result=(bool | None, None),
    stamped_headers=(list[str] | None, None),
    stamps=(dict[str, Any] | None, None),
    compression=(None, None),
)
_DeliveryInfo = create_model("_DeliveryInfo", __base__=_Part, exchange=_Text, routing_key=_Text)


class _Properties(_Part):
    delivery_tag: _Name
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


class MalformedError(ValueError):
    """A message that is none of Celery's."""


def check_message(message: Any) -> None:
    """Raises MalformedError for a message, as JSON gives it, that workers and readers cannot take."""
    try:
        body = json.loads(base64.b64decode(_Message.model_validate(message).body, validate=True))
        args, kwargs, embed = body
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise MalformedError(f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}") from None
    except (ValueError, TypeError, RecursionError):
        raise MalformedError("body: it is no JSON of arguments") from None
    if not (isinstance(args, list) and isinstance(kwargs, dict) and isinstance(embed, dict | None)):
        raise MalformedError("body: it is not [arguments, named arguments, options]")


class Channel(redis.Channel):
    """Takes messages out of the queues."""

    def _brpop_read(self, **options: Any) -> Any:
        """Kombu has taken something out of a queue, and reads it as JSON, with types of its own: it may be neither."""
        self.connection.was_read = False
        try:
            return super()._brpop_read(**options)
        except (Empty, RedisError, OSError):
            raise
        except Exception as error:
            if self.connection.was_read:
                raise
            _logger.error("Something in a queue was no message, and was thrown away: %r", error)
            raise Empty from None

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Kombu ends the worker with an AttributeError where the connection was closed meanwhile; it is made anew."""
        if self.connection is None or self.connection.client is None:
            raise ConnectionResetError("The connection to the broker was closed before a message was acknowledged.")
        super().basic_ack(delivery_tag, multiple=multiple)

    def set_aside(self, message: Any) -> None:
        """Keeps what is no message, for who wants to look at it."""
        with self.conn_or_acquire() as client, suppress(ResponseError):  # of a server that has no room, for example
            client.lpush(MALFORMED, json.dumps(message)[:LONGEST_KEPT])
            client.ltrim(MALFORMED, 0, MOST_MALFORMED - 1)


class Transport(redis.Transport):
    """Hands messages to the worker."""

    Channel = Channel
    was_read = False  # whether what was taken out of a queue last was JSON

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._checked = frozenset(queues(os.environ))

    def _deliver(self, message: Any, queue: str) -> None:
        self.was_read = True
        if queue in self._checked:
            try:
                check_message(message)
            except MalformedError as error:
                _logger.error("A malformed message of the queue %s was put into %s: %s", queue, MALFORMED, error)
                self.channels[0].set_aside(message)
                return
        super()._deliver(message, queue)


def use() -> None:
    """Makes all connections to Redis that Kombu opens from now on in this process go through this check."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
