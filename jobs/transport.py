"""Redis as Kombu talks to it: what is no message of Celery's is set aside, and ends no worker."""

import json
import logging
import os
from contextlib import suppress
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import RedisError, ResponseError

from fer_core.job.arguments import queues
from jobs.messages import LONGEST_KEPT, MALFORMED, MOST_MALFORMED, MalformedError, checked_message

_logger = logging.getLogger(__name__)


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
    was_read = False
    """Whether what was taken out of a queue last was JSON."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._checked = frozenset(queues(os.environ))

    def _deliver(self, message: Any, queue: str) -> None:
        self.was_read = True
        if queue in self._checked:
            try:
                checked_message(message)
            except MalformedError as error:
                _logger.error("A malformed message of the queue %s was put into %s: %s", queue, MALFORMED, error)
                self.channels[0].set_aside(message)
                return
        super()._deliver(message, queue)


def use() -> None:
    """Makes all connections to Redis that Kombu opens from now on in this process go through this check."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
