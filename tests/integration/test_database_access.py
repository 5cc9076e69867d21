"""Access to the database: credentials from a secret or IAM, and the trusted certificates."""

import json
import socket
import ssl
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from cryptography import x509
from moto import mock_aws

from roadmap_content.contracts.errors import DatabaseUnavailableError, MissingSettingError
from roadmap_content.platform.postgres.engine import CERTIFICATES, Credentials, verifying_context
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.state.services import Services
from tests.support.tls import serve, server_context

IAM = {
    "DATABASE_AUTH": "iam",
    "DATABASE_HOST": "proxy.example",
    "DATABASE_PORT": "5433",
    "DATABASE_NAME": "roadmap",
    "DATABASE_USER": "app",
}


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield


def credentials(environ: dict[str, str]) -> Credentials:
    return Services(Settings(environ))._credentials()  # noqa: SLF001 - the credentials for the engine


def test_with_iam_the_password_is_a_token_for_this_user_and_host() -> None:
    found = credentials(IAM)
    assert (found.host, found.port, found.database, found.user) == ("proxy.example", 5433, "roadmap", "app")
    token = urlsplit(f"https://{found.password}")
    asked = parse_qs(token.query)
    assert token.netloc == "proxy.example:5433"
    assert (asked["Action"], asked["DBUser"], asked["X-Amz-Expires"]) == (["connect"], ["app"], ["900"])
    assert asked["X-Amz-Credential"][0].endswith("/eu-central-1/rds-db/aws4_request")


def test_with_a_secret_the_password_is_read_from_it() -> None:
    secret = {
        "host": "db.example",
        "port": 5432,
        "dbname": "roadmap",
        "username": "app",
        "password": "s3cret",
    }
    arn = boto3.client("secretsmanager").create_secret(Name="db", SecretString=json.dumps(secret))["ARN"]
    found = credentials({"DATABASE_AUTH": "secret", "DATABASE_SECRET_ARN": arn})
    assert found == Credentials("db.example", 5432, "roadmap", "app", "s3cret")


def test_an_unreadable_secret_counts_as_an_unreachable_database() -> None:
    """Regression: an error of boto3 ended Finalize immediately; the state machine retries this type."""
    settings = {"DATABASE_AUTH": "secret", "DATABASE_SECRET_ARN": "nothing", "DATABASE_TLS": "verify"}
    services = Services(Settings(settings | {"DATABASE_SESSION": "options"}))
    with pytest.raises(DatabaseUnavailableError, match="ResourceNotFoundException"):
        transact(services.engine, lambda _: None, Deadline.after(5))


@pytest.mark.parametrize(
    ("secret", "fault"),
    [
        ('{"host": "h", "port": 1, "dbname": "d", "username": "u"}', "has no 'password'"),
        ('{"host": "h", "port": "s3cret"}', "is not the JSON that RDS keeps"),
        ("s3cret", "is not the JSON that RDS keeps"),
        ('["s3cret"]', "is not the JSON that RDS keeps"),
    ],
)
def test_a_secret_with_another_shape_is_refused_and_not_shown(secret: str, fault: str) -> None:
    with pytest.raises(MissingSettingError, match=fault) as refused:
        Credentials.from_secret(secret)
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("name", IAM)
def test_the_error_contains_a_setting_that_is_not_set(name: str) -> None:
    with pytest.raises(MissingSettingError, match=name):
        credentials({key: value for key, value in IAM.items() if key != name})


def test_a_certificate_authority_in_the_folder_is_trusted(tmp_path: Path) -> None:
    with server(tmp_path / "server", "localhost") as (port, authority):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(port, "localhost", tmp_path)
        (tmp_path / "rds.pem").write_bytes(authority)
        handshake(port, "localhost", tmp_path)


def test_rds_s_authorities_are_trusted_in_their_own_region_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(tmp_path / "server", "localhost") as (port, authority):
        (tmp_path / "rds").mkdir()
        (tmp_path / "rds/eu-central-1.pem").write_bytes(authority)
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        handshake(port, "localhost", tmp_path)
        for region in ("us-east-1", "", "*"):
            monkeypatch.setenv("AWS_REGION", region)
            with pytest.raises(ssl.SSLCertVerificationError):
                handshake(port, "localhost", tmp_path)


def test_the_shipped_authorities_are_roots_of_rds_in_their_region() -> None:
    for path in (CERTIFICATES / "rds").iterdir():
        authorities = x509.load_pem_x509_certificates(path.read_bytes())
        assert len(authorities) == 3, path
        for authority in authorities:
            name = authority.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
            assert str(name).startswith(f"Amazon RDS {path.stem} Root CA ")
            authority.verify_directly_issued_by(authority)
            assert authority.not_valid_after_utc.year > 2060, path


def test_a_certificate_for_another_host_name_is_refused(tmp_path: Path) -> None:
    with server(tmp_path / "server", "db.example") as (port, authority):
        (tmp_path / "rds.pem").write_bytes(authority)
        with pytest.raises(ssl.SSLCertVerificationError, match="localhost"):
            handshake(port, "localhost", tmp_path)


@pytest.mark.parametrize(("initialization", "holds"), [("snap-start", True), ("on-demand", False)])
def test_boto3_is_imported_early_only_for_a_snapshot(initialization: str, holds: bool) -> None:
    preload = (
        "from roadmap_content.platform.aws.clients import preload_for_snapstart; preload_for_snapstart()"
    )
    said = subprocess.run(
        [sys.executable, "-c", f"import sys; {preload}; print('boto3' in sys.modules)"],
        env={"AWS_LAMBDA_INITIALIZATION_TYPE": initialization},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == str(holds)


def handshake(port: int, name: str, certificates: Path) -> None:
    context = verifying_context(certificates)
    with (
        socket.create_connection(("127.0.0.1", port), 10) as connection,
        context.wrap_socket(connection, server_hostname=name) as secured,
    ):
        assert secured.version() is not None


@contextmanager
def server(directory: Path, name: str) -> Iterator[tuple[int, bytes]]:
    """A TLS server with a certificate for `name`: its port, and its authority's certificate."""
    directory.mkdir()
    context, authority = server_context(name, directory)
    listening = serve(
        ("127.0.0.1", 0), lambda connection: context.wrap_socket(connection, server_side=True).close()
    )
    try:
        yield listening.server_address[1], authority
    finally:
        listening.shutdown()
        listening.server_close()
