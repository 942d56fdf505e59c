"""What a service manager is told, over a datagram socket as systemd's."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tq_worker.supervisor.systemd import service_manager


@pytest.mark.parametrize("is_abstract", [False, True])
def test_a_service_manager_is_told_and_its_variables_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_abstract: bool
) -> None:
    address = f"@tq-test-{os.getpid()}" if is_abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address.replace("@", "\0", 1))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", "4000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))

        manager = service_manager()
        assert manager is not None
        manager.ready("one")
        manager.status("one")
        manager.status("two")
        manager.alive()
        manager.stopping("three", 2.5)

        assert manager.watchdog_s == 4
        assert [systemd.recv(999).decode() for _ in range(4)] == [
            "READY=1\nSTATUS=one",
            "STATUS=two",
            "WATCHDOG=1",
            "STOPPING=1\nSTATUS=three\nEXTEND_TIMEOUT_USEC=2500000",
        ]
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)
    manager.alive()  # nobody listens any more


@pytest.mark.parametrize("pid", ["1", "x"])
def test_a_watchdog_that_is_meant_for_another_process_is_not_answered(
    monkeypatch: pytest.MonkeyPatch, pid: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    monkeypatch.setenv("WATCHDOG_PID", pid)

    manager = service_manager()

    assert manager is not None
    assert manager.watchdog_s is None


@pytest.mark.parametrize("usec", ["²", "-1", "0", "1e6"])
def test_a_watchdog_that_gives_no_time_is_none(monkeypatch: pytest.MonkeyPatch, usec: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", f"/{'a' * 300}")
    monkeypatch.setenv("WATCHDOG_USEC", usec)

    manager = service_manager()

    assert manager is not None
    assert manager.watchdog_s is None
    manager.ready("a path that is too long to be one")


def test_without_a_service_manager_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "vsock:2:1234")

    assert service_manager() is None
