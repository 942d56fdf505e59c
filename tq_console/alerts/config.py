"""Alerts as the configuration file says them.

# $XDG_CONFIG_HOME/tq/config.toml
alert_webhook = "https://hooks.example.org/tq"    # where alerts are posted that say nothing else; nowhere by default
alert_bell = false                                # no bell for alerts that say nothing else

[[alerts]]
when = "oldest(mail) > 2m for 30s"
name = "mail is late"                             # optional
context = "prod"                                  # optional: only there
bell = true                                       # optional
webhook = "https://hooks.example.org/mail"        # optional; "" posts it nowhere
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tq_console.alerts.rule import Rule, parse_rule
from tq_core.errors import BrokerConfigError, InvalidInputError
from tq_core.settings import config_file, read_config

FIELDS = ("when", "name", "context", "bell", "webhook")
ALERTS_MAX = 100
NAME_MAX = 80


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule, and who is told when it fires."""

    rule: Rule
    name: str = ""
    context: str | None = None
    """The only context where it counts; None = in all, and where there is none."""
    has_bell: bool = True
    webhook: str | None = field(default=None, repr=False)
    """An address, which is a secret; None = it is posted nowhere."""


@dataclass(frozen=True, slots=True)
class Alerts:
    """What the configuration says about alerts."""

    alerts: tuple[Alert, ...] = ()
    problems: tuple[str, ...] = ()
    """What cannot be understood, each in one sentence; what is wrong is left out of `alerts`."""

    def of(self, context: str | None) -> tuple[Alert, ...]:
        """Those that count in a context; None = the broker has no name."""
        return tuple(alert for alert in self.alerts if alert.context in (None, context))


def read_alerts(environ: Mapping[str, str] = os.environ) -> Alerts:
    """What the configuration file says; a file that cannot be read is a problem."""
    try:
        return alerts_of(read_config(config_file(environ)))
    except BrokerConfigError as error:
        return Alerts(problems=(error.message,))


def alerts_of(config: Mapping[str, Any]) -> Alerts:
    """What a configuration says."""
    problems: list[str] = []
    usual_bell = config.get("alert_bell", True)
    if not isinstance(usual_bell, bool):
        problems.append(f"alert_bell = {usual_bell!r}: must be true or false")
        usual_bell = True
    usual_webhook = _webhook(config.get("alert_webhook"), "alert_webhook", problems)
    tables = config.get("alerts", [])
    if not isinstance(tables, list):
        return Alerts(problems=(*problems, 'alerts: must be tables, each as [[alerts]] with when = "dlq > 100"'))
    if len(tables) > ALERTS_MAX:
        problems.append(f"alerts: {len(tables)} of them; the first {ALERTS_MAX} count")
    found = []
    for number, table in enumerate(tables[:ALERTS_MAX], start=1):
        alert = _alert(table, f"[[alerts]] number {number}", problems, bell=usual_bell, webhook=usual_webhook)
        if alert is not None:
            found.append(alert)
    return Alerts(tuple(found), tuple(problems))


def _alert(table: object, where: str, problems: list[str], *, bell: bool, webhook: str | None) -> Alert | None:
    if not isinstance(table, Mapping):
        problems.append(f"{where}: must be a table")
        return None
    problems += [
        f"{where}: {name!r} is no field of an alert; there are {', '.join(FIELDS)}"
        for name in table
        if name not in FIELDS
    ]
    when = table.get("when")
    if not isinstance(when, str):
        problems.append(f'{where}: needs when = "dlq > 100" or another rule')
        return None
    try:
        rule = parse_rule(when)
    except InvalidInputError as error:
        problems.append(f"{where}: {error.message}")
        return None
    name = table.get("name", "")
    if not isinstance(name, str) or len(name) > NAME_MAX:
        problems.append(f"{where}: name must be a text of at most {NAME_MAX} characters")
        name = ""
    context = table.get("context")
    if not isinstance(context, str | None):
        problems.append(f"{where}: context must be the name of a context")
        return None
    own_bell = table.get("bell", bell)
    if not isinstance(own_bell, bool):
        problems.append(f"{where}: bell must be true or false")
        own_bell = bell
    own = _webhook(table["webhook"], f"{where}: webhook", problems) if "webhook" in table else webhook
    return Alert(rule, name, context, own_bell, own)


def _webhook(value: object, where: str, problems: list[str]) -> str | None:
    """An address that can be posted to; None where there is none."""
    if value is None or value == "":
        return None
    is_address = False
    if isinstance(value, str):
        try:
            parts = urlsplit(value)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
    if is_address and isinstance(value, str):
        return value
    # What was written may be a secret all the same.
    problems.append(f"{where}: must be an address as https://hooks.example.org/tq")
    return None


def masked_webhook(url: str) -> str:
    """An address for people: its host alone, since the rest lets anybody post there."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}/…"
