"""The settings that each function's code can reach, derived from its types."""

from checks.template.reachable import reached_by


def test_the_settings_of_a_function() -> None:
    assert reached_by("authorize_request").settings == {
        "JWT_ISSUER",
        "JWT_AUDIENCE",
        "JWT_JWKS_URL",
        "JWT_SECRET_ARN",
        "OPERATOR_SCOPE",
        "OPERATOR_SUBJECTS",
        "TENANT_CLAIM",
        "VIEWER_SCOPE",
    }
    assert {"BATCH_SIZE", "CONTENT_BUCKET", "STATE_MACHINE_ARN"} <= reached_by("plan_batches").settings
    assert "STATE_MACHINE_ARN" not in reached_by("save_batch").settings
