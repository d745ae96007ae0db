import pydantic
import pytest

from router.settings import Config

LEAST = {"version": 1, "provider": {"catalogue": "twilio"}, "listeners": {}}


def test_least_configuration_has_the_documented_defaults() -> None:
    config = Config.model_validate(LEAST)
    policy, health = config.policy, config.health
    assert policy.prefer_private.max_extra == 0.04
    assert (policy.switch.min_gain, policy.switch.min_gain_ratio) == (0.01, 0.2)
    assert (policy.switch.dwell, policy.window) == (60, 120)
    assert (health.interval, health.fast_interval, health.timeout) == (2, 0.25, 1)
    assert (health.fall, health.rise, health.recovery) == (3, 3, 60)
    assert health.sip_options_interval == 15


def test_configuration_cannot_be_changed() -> None:
    config = Config.model_validate(LEAST)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(config, "version", 2)  # noqa: B010 - typed code cannot even say it


def test_every_time_of_a_file_is_in_seconds() -> None:
    health = {"interval": "500ms", "recovery": "2m"}
    config = Config.model_validate({**LEAST, "health": health})
    assert (config.health.interval, config.health.recovery) == (0.5, 120)


@pytest.mark.parametrize("name", ["", "Request Id", "X-Id:", "X-Id\r\nX", "x" * 65])
def test_field_that_no_answer_can_have_is_refused(name: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="the name of an HTTP field"):
        Config.model_validate({**LEAST, "log": {"request_id": name}})


def test_field_of_the_request_id_is_as_written() -> None:
    log = {"request_id": "Twilio-Request-Id"}
    assert (
        Config.model_validate({**LEAST, "log": log}).log.request_id == log["request_id"]
    )


def test_control_socket_is_a_path_that_fits_or_off() -> None:
    def socket(value: object) -> object:
        return Config.model_validate({**LEAST, "admin": {"socket": value}}).admin.socket

    assert socket("off") is None
    assert str(socket("/run/" + "x" * 102)).endswith("xx")
    for wrong in ("/run/" + "x" * 103, "", 7, None):
        with pytest.raises(pydantic.ValidationError):
            socket(wrong)
    admin = {**LEAST, "admin": {"http": "off"}}
    assert Config.model_validate(admin).admin.http is None
