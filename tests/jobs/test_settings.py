"""Where the broker is, and what the environment may say."""

import json

import pytest

from fer_core.errors import ConfigError, JobError
from jobs.broker_address import hidden_password
from jobs.settings import VISIBILITY_SECONDS, JobSettings, broker_url, check_queue, queues


def record_broker(paths, text):
    paths.state.mkdir(parents=True)
    (paths.state / "broker.json").write_text(text)


def test_the_environment_names_the_broker_before_anything_else(paths):
    record_broker(paths, json.dumps({"url": "redis://elsewhere:6379/0"}))
    assert broker_url({"FER_BROKER_URL": "redis://here:6379/1"}, paths) == "redis://here:6379/1"


def test_without_it_the_broker_is_the_one_that_up_has_recorded(paths):
    record_broker(paths, json.dumps({"url": "redis+socket:///run/fer.sock?virtual_host=0", "pid": 7}))
    assert broker_url({}, paths) == "redis+socket:///run/fer.sock?virtual_host=0"


@pytest.mark.parametrize("text", ["{", "[]", '{"url": 3}', "{}"])
def test_where_nothing_usable_is_recorded_it_is_the_socket_in_the_state_folder(paths, text):
    record_broker(paths, text)
    assert broker_url({}, paths) == f"redis+socket://{paths.state}/redis.sock?virtual_host=0"


def test_a_socket_may_be_named_as_other_clients_name_it(paths):
    assert broker_url({"FER_BROKER_URL": "unix:///run/r.sock"}, paths) == "redis+socket:///run/r.sock"


def test_an_encrypted_connection_checks_the_certificate_unless_told_otherwise(paths):
    plain, told = "rediss://:secret@host:6379/0", "rediss://host/0?ssl_cert_reqs=none"
    assert broker_url({"FER_BROKER_URL": plain}, paths) == f"{plain}?ssl_cert_reqs=required"
    assert broker_url({"FER_BROKER_URL": told}, paths) == told


def test_another_kind_of_broker_is_refused_without_its_password(paths):
    with pytest.raises(ConfigError, match=r"begins with amqp://: that is no Redis\.$"):
        broker_url({"FER_BROKER_URL": "amqp://guest:secret@host//"}, paths)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:se/c@ret@host:6379/0", "redis://:***@host:6379/0"),
        ("rediss://fer:secret@host/0?ssl_cert_reqs=required", "rediss://fer:***@host/0?ssl_cert_reqs=required"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis+socket:///home/a@b/redis.sock?virtual_host=0", "redis+socket:///home/a@b/redis.sock?virtual_host=0"),
        ("redis+socket:///r.sock?password=secret&db=1", "redis+socket:///r.sock?password=***&db=1"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert hidden_password(url) == shown


def test_more_queues_come_after_our_own():
    assert queues({"FER_QUEUES": "a100, gpu ,h200"}) == ("gpu.high", "gpu", "cpu", "a100", "h200")


def test_what_is_no_queue_is_refused_by_name():
    with pytest.raises(ConfigError, match="names 'a b', which is no queue"):
        queues({"FER_QUEUES": "a b"})
    with pytest.raises(JobError, match="There is no queue 'gpuu'") as error:
        check_queue("gpuu", {})
    assert error.value.hint == "Did you mean 'gpu'? $FER_QUEUES adds more."


def test_messages_are_invisible_for_longer_than_any_job_takes(paths):
    assert JobSettings.from_environment({}, paths).visibility_seconds == VISIBILITY_SECONDS == 8 * 24 * 3600
    assert JobSettings.from_environment({"FER_VISIBILITY_SECONDS": "5"}, paths).visibility_seconds == 5
    for text in ("soon", "0", "nan", "inf"):
        with pytest.raises(ConfigError, match=f"FER_VISIBILITY_SECONDS is '{text}'"):
            JobSettings.from_environment({"FER_VISIBILITY_SECONDS": text}, paths)
