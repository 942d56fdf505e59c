"""Which broker is chosen: flag, environment, contexts, the seeds' variables, the default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tq_core.broker_url import BrokerScheme, parse_hosts
from tq_core.errors import BrokerConfigError, InvalidInputError
from tq_core.settings import RetryDefaults, config_file, contexts, resolve_broker, retry_defaults

CONFIG = """
context = "staging"

[contexts.staging]
url = "redis://staging:6379/1"

[contexts.prod]
url = "rediss://tq:s3cret@prod/0"
color = "red"
protected = true
read_only = true
team = "payments"
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Point at a configuration folder that is empty at first."""
    return {"XDG_CONFIG_HOME": str(tmp_path)}


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[[str], Path]:
    """Write the configuration file."""

    def write(text: str) -> Path:
        path = tmp_path / "tq" / "config.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_without_any_setting_it_is_the_embedded_broker(environ: dict[str, str]) -> None:
    address = resolve_broker(environ=environ)
    assert (address.scheme, address.source, address.name) == (BrokerScheme.EMBEDDED, "default", "default")
    assert address.is_default
    assert address.notice is not None
    assert "embedded broker 'default'" in address.notice


def test_each_source_beats_the_next(environ: dict[str, str], write_config: Callable[[str], Path]) -> None:
    write_config(CONFIG)
    environ |= {"TQ_URL": "redis://url", "TQ_CONTEXT": "prod", "REDIS_HOST": "seed"}
    sources = [resolve_broker("redis://flag", environ=environ).source]
    sources.append(resolve_broker(context="staging", environ=environ).source)
    for taken in ("", "TQ_URL", "TQ_CONTEXT"):
        environ.pop(taken, None)
        sources.append(resolve_broker(environ=environ).source)
    write_config(CONFIG.replace('context = "staging"', ""))
    sources.append(resolve_broker(environ=environ).source)
    environ.pop("REDIS_HOST")
    sources.append(resolve_broker(environ=environ).source)
    assert sources == ["flag", "context staging", "TQ_URL", "context prod", "context staging", "REDIS_HOST", "default"]


def test_an_address_and_a_context_together_are_refused(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError, match="give one of them"):
        resolve_broker("redis://a", context="prod", environ=environ)


def test_an_empty_variable_is_an_unset_one(environ: dict[str, str]) -> None:
    environ |= {"TQ_URL": "", "TQ_CONTEXT": "", "REDIS_HOST": "", "REDIS_PORT": "", "TQ_REQUIRE_URL": ""}
    assert resolve_broker(environ=environ).is_default


def test_a_context_carries_its_looks_and_its_guards(
    environ: dict[str, str], write_config: Callable[[str], Path]
) -> None:
    write_config(CONFIG)
    address = resolve_broker(context="prod", environ=environ)
    assert address.context is not None
    assert (address.context.name, address.context.color) == ("prod", "red")
    assert address.context.is_protected
    assert address.context.is_read_only
    assert address.context.extra == {"team": "payments"}
    assert address.display_url == "rediss://tq:***@prod/0"
    assert "s3cret" not in repr(address)
    assert set(contexts(environ)) == {"staging", "prod"}


def test_a_context_that_is_not_there_names_those_that_are(
    environ: dict[str, str], write_config: Callable[[str], Path]
) -> None:
    path = write_config(CONFIG)
    with pytest.raises(BrokerConfigError) as caught:
        resolve_broker(context="porduction", environ=environ)
    assert f"'porduction' (--context) is not in {path}; known are prod, staging" in caught.value.message
    with pytest.raises(BrokerConfigError, match="'x' \\(TQ_CONTEXT\\)"):
        resolve_broker(environ={**environ, "TQ_CONTEXT": "x"})


def test_a_context_without_a_file_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(BrokerConfigError, match="it has none"):
        resolve_broker(context="prod", environ=environ)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("context = ", "is not valid TOML"),
        ("context = 3", "must be the name of a context in quotes"),
        ('context = "a"\ncontexts = 3', "one table for each context"),
        ('context = "a"\n[contexts]\na = 3', "must be a table"),
        ('context = "a"\n[contexts.a]', 'needs url = "redis://..."'),
        ('context = "a"\n[contexts.a]\nurl = "redis://h"\ncolor = 3', "color must be a text"),
        ('context = "a"\n[contexts.a]\nurl = "redis://h"\nprotected = "yes"', "protected must be true or false"),
        ('context = "a"\n[contexts.a]\nurl = "redish://h"', "the context 'a' of"),
    ],
)
def test_a_wrong_configuration_file_is_named_with_what_is_wrong(
    environ: dict[str, str], write_config: Callable[[str], Path], text: str, complaint: str
) -> None:
    path = write_config(text)
    with pytest.raises(BrokerConfigError) as caught:
        resolve_broker(environ=environ)
    assert str(path) in caught.value.message
    assert complaint in caught.value.message
    assert "\n" not in caught.value.message


def test_a_broken_file_does_not_matter_where_no_context_is_asked_for(
    environ: dict[str, str], write_config: Callable[[str], Path]
) -> None:
    write_config("context = ")
    assert resolve_broker("redis://h", environ=environ).source == "flag"
    assert resolve_broker(environ={**environ, "TQ_URL": "redis://h"}).source == "TQ_URL"


def test_a_file_that_is_no_text_is_refused(environ: dict[str, str], write_config: Callable[[str], Path]) -> None:
    write_config("").write_bytes(b"\xff\xfe")
    with pytest.raises(BrokerConfigError, match="is not UTF-8 text"):
        resolve_broker(environ=environ)


def test_a_relative_configuration_folder_is_ignored() -> None:
    assert config_file({"XDG_CONFIG_HOME": "x", "HOME": "/home/a"}) == Path("/home/a/.config/tq/config.toml")


def test_the_seeds_variables_make_an_address(environ: dict[str, str]) -> None:
    assert resolve_broker(environ={**environ, "REDIS_HOST": "h"}).url == "redis://h:6379"
    assert resolve_broker(environ={**environ, "REDIS_HOST": "h", "REDIS_PORT": "7000"}).url == "redis://h:7000"
    assert resolve_broker(environ={**environ, "REDIS_PORT": "7000"}).url == "redis://localhost:7000"
    assert resolve_broker(environ={**environ, "REDIS_HOST": "::1"}).url == "redis://[::1]:6379"


@pytest.mark.parametrize(
    "variables", [{"REDIS_PORT": "x"}, {"REDIS_PORT": "0"}, {"REDIS_PORT": "65536"}, {"REDIS_HOST": "redis://h"}]
)
def test_wrong_seeds_variables_are_named(environ: dict[str, str], variables: dict[str, str]) -> None:
    with pytest.raises(BrokerConfigError, match=next(iter(variables))):
        resolve_broker(environ=environ | variables)


def test_the_default_is_refused_where_an_address_is_required(environ: dict[str, str]) -> None:
    environ["TQ_REQUIRE_URL"] = "1"
    with pytest.raises(BrokerConfigError, match="TQ_REQUIRE_URL is set; set TQ_URL or pass --url"):
        resolve_broker(environ=environ)
    assert resolve_broker("embedded://", environ=environ).source == "flag"
    assert resolve_broker(environ={**environ, "TQ_URL": "embedded://work"}).name == "work"
    assert resolve_broker(environ={**environ, "TQ_REQUIRE_URL": "0"}).is_default
    with pytest.raises(BrokerConfigError, match="neither yes nor no"):
        resolve_broker(environ={**environ, "TQ_REQUIRE_URL": "maybe"})


# --- addresses ---


@pytest.mark.parametrize(
    ("url", "scheme", "name"),
    [
        ("embedded://", BrokerScheme.EMBEDDED, "default"),
        ("embedded://work", BrokerScheme.EMBEDDED, "work"),
        ("memory://", BrokerScheme.MEMORY, "default"),
        ("memory://test-1", BrokerScheme.MEMORY, "test-1"),
        ("redis://h", BrokerScheme.REDIS, None),
        ("REDIS://h", BrokerScheme.REDIS, None),
        ("redis://:p%40ss@h:7000/3?health_check_interval=10", BrokerScheme.REDIS, None),
        ("rediss://u:p@h/0?ssl_ca_certs=/ca.pem&ssl_check_hostname=no", BrokerScheme.REDISS, None),
        ("redis://[::1]:6379/0", BrokerScheme.REDIS, None),
        ("unix:///run/redis.sock?db=2", BrokerScheme.UNIX, None),
        ("unix://u:p@/run/redis.sock", BrokerScheme.UNIX, None),
    ],
)
def test_addresses_of_every_kind_are_understood(url: str, scheme: BrokerScheme, name: str | None) -> None:
    address = resolve_broker(url, environ={})
    assert (address.scheme, address.name, address.url) == (scheme, name, url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+sentinel://h1,[::1]:7/main/3", ((("h1", 26379), ("::1", 7)), "main", 3)),
        ("redis+cluster://u:p%40@h:7000,h2", ((("h", 7000), ("h2", 6379)), "", 0)),
        ("rediss+cluster://h?ssl_ca_certs=/ca.pem", ((("h", 6379),), "", 0)),
    ],
)
def test_addresses_of_several_hosts_are_understood(url: str, said: tuple[object, ...]) -> None:
    hosts = parse_hosts(resolve_broker(url, environ={}).url)
    assert (hosts.places, hosts.service, hosts.database) == said


def test_the_address_of_each_server_has_what_the_whole_says() -> None:
    hosts = parse_hosts("rediss+sentinel://u:p%40@h/m/2?sentinel_password=s&ssl_ca_certs=/ca.pem&db=1")
    assert hosts.server_url("::1", 7) == "rediss://u:p%40@[::1]:7/2?ssl_ca_certs=/ca.pem&db=1"
    assert (hosts.sentinel_username, hosts.sentinel_password) == (None, "s")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+sentinel://h", "names no service"),
        ("redis+sentinel://h/m/x", "number of a database"),
        ("redis+sentinel://h,/m", "HOST:PORT"),
        ("redis+cluster://h:99999", "HOST:PORT"),
        ("redis+cluster://h/1", "a cluster has the database 0 only"),
        ("redis+cluster://h?ssl_ca_certs=x", "works with rediss:// only"),
        ("redis+cluster://h?sentinel_password=x", "not for an address"),
        ("redis+cluster://h?db=1", "not for an address"),
        ("redis+cluster://h#x", "percent-encode # as %23"),
    ],
)
def test_addresses_of_several_hosts_that_cannot_be_right_are_refused(url: str, words: str) -> None:
    with pytest.raises(BrokerConfigError, match=words):
        resolve_broker(url, environ={})


def test_the_address_of_a_gateway_never_shows_its_key() -> None:
    address = resolve_broker("https://:hidden@gateway.example.org/tq/", environ={})
    assert address.scheme is BrokerScheme.GATEWAY_TLS
    assert address.display_url == "https://:***@gateway.example.org/tq/"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://hidden@gateway.example.org", "keys and no users"),
        ("https://", "names no host"),
        ("http://:hidden@gateway:0", "names no host"),
        ("http://:hidden@gateway/?key=hidden", "ends in"),
    ],
)
def test_addresses_of_gateways_that_cannot_be_right_are_refused(url: str, words: str) -> None:
    with pytest.raises(BrokerConfigError, match=words) as caught:
        resolve_broker(url, environ={})
    assert "hidden" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("localhost:6379", "has no scheme; write redis://HOST"),
        ("redsi://h", "'redsi' is not a scheme"),
        ("redis://", "names no host"),
        ("redis:///1", "names no host"),
        ("redis://h:x", "no valid host and port"),
        ("redis://h:70000", "no valid host and port"),
        ("redis://h:0", "0 is not a port"),
        ("redis://[::1", "no valid host and port"),
        ("redis://h/mydb", "'mydb' is not the number of a database"),
        ("redis://h/0#x", "percent-encode #"),
        ("redis://h?db=x", "'x' is not a value for db"),
        ("redis://h?ssl_ca_certs=/ca.pem", "works with rediss:// only"),
        ("rediss://h?ssl_ca_cert=/ca.pem", "'ssl_ca_cert' is not for an address; it may be client_name"),
        ("redis://h?socket_timeout=1", "'socket_timeout' is not for an address"),
        ("unix://run/redis.sock", "three slashes"),
        ("unix:///", "three slashes"),
        ("embedded://Work", "broker name 'Work'"),
        ("embedded://a/b", "a name and nothing else"),
        ("embedded:///path", "a name and nothing else"),
        ("memory://a?b=c", "a name and nothing else"),
        ("embedded://u:p@h", "a name and nothing else"),
    ],
)
def test_a_wrong_address_is_refused_with_what_is_wrong_and_where_it_stands(url: str, complaint: str) -> None:
    with pytest.raises(BrokerConfigError) as caught:
        resolve_broker(environ={"TQ_URL": url})
    assert complaint in caught.value.message
    assert caught.value.message.startswith("TQ_URL ")


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:s3cret@h:6379/0",
        "redis://:s3cret@h",
        "redis://u:s3cret@@h",
        "redis://u:pa/s3cret@h",
        "redis://u:pa#s3cret@h",
        "redis://u:pa?s3cret@h",
        "redis://u:s3cret@h:port",
        "redis://h?password=s3cret",
        "rediss://h?ssl_password=s3cret&db=1",
        "redis+sentinel://u:s3cret@h/m",
        "redis+sentinel://u:pa/s3cret@h/m",
        "redis+sentinel://h/m?sentinel_password=s3cret",
        "redis+cluster://u:7/s3cret@h",
        "u:s3cret@h",
        "nonsense://u:s3cret@h",
        "embedded://u:s3cret@h",
    ],
)
def test_no_secret_is_ever_shown(url: str) -> None:
    try:
        address = resolve_broker(url, environ={})
    except BrokerConfigError as error:
        shown = f"{error.message} {error.__cause__!r} {error.__suppress_context__}"
        assert shown.endswith("None True") or "None False" in shown
    else:
        shown = f"{address.display_url} {address!r} {address.notice}"
    assert "s3cret" not in shown


def test_control_codes_in_an_address_are_not_passed_on() -> None:
    with pytest.raises(BrokerConfigError) as caught:
        resolve_broker("redsi://\x1b[31mh", environ={})
    assert "\x1b" not in caught.value.message


# --- retries ---


def test_retry_defaults_are_those_of_the_seeds() -> None:
    assert retry_defaults({}) == RetryDefaults(
        max_attempts=4, initial_delay_ms=5_000, multiplier=2.0, max_delay_ms=3_600_000
    )


def test_the_seeds_variables_set_the_retry_defaults() -> None:
    environ = {
        "MAX_RETRIES": "5",
        "INITIAL_RETRY_DELAY": "0.25",
        "RETRY_BACKOFF_MULTIPLIER": "1.5",
        "MAX_RETRY_DELAY": "7200",
    }
    assert retry_defaults(environ) == RetryDefaults(6, 250, 1.5, 7_200_000)
    assert retry_defaults({"MAX_RETRIES": "0"}).max_attempts == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MAX_RETRIES", "many"),
        ("MAX_RETRIES", "-1"),
        ("MAX_RETRIES", "2.5"),
        ("MAX_RETRIES", "1000"),
        ("INITIAL_RETRY_DELAY", "-1"),
        ("INITIAL_RETRY_DELAY", "nan"),
        ("INITIAL_RETRY_DELAY", "inf"),
        ("RETRY_BACKOFF_MULTIPLIER", "0.5"),
        ("MAX_RETRY_DELAY", "5s"),
    ],
)
def test_a_wrong_retry_variable_is_named(variable: str, value: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{variable}='{value}'"):
        retry_defaults({variable: value})
