"""A missing or invalid setting raises an error with its name when it is used."""

import pytest

from roadmap_content.contracts.errors import MissingSettingError
from roadmap_content.platform.runtime.settings import Settings


def test_no_setting_is_required_before_it_is_used() -> None:
    assert Settings({"CONTENT_BUCKET": "b"}).content_bucket == "b"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", ""),
        ("batch_size", "0"),
        ("batch_size", "-1"),
        ("batch_size", "ten"),
        ("database_auth", "other"),
        ("database_session", "other"),
        ("database_tls", "yes"),
        ("model_temperature", "1.5"),
        ("model_output_burndown", "nan"),
        ("retention_days", "content_origins=a year"),
    ],
)
def test_an_invalid_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(MissingSettingError, match=name.upper()):
        getattr(Settings({name.upper(): value}), name)


def test_the_environment_is_read_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    monkeypatch.setenv("BATCH_SIZE", "7")
    assert settings.batch_size == 7
