"""What can be said of a fleet's engine, and of the address of a Dask scheduler, before anything is started."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from ipaddress import ip_address
from urllib.parse import urlsplit

from tempfit.config import FleetConfig
from tempfit.errors import ServiceError, SettingsError
from tempfit.wording import printable

PATIENCE = 4  # seconds in which a scheduler must be there


def needs_dask(fleet: FleetConfig) -> bool:
    """Whether others do the work than threads of this process."""
    return fleet.scheduler is not None or fleet.workers > 1


def refuse_engine(fleet: FleetConfig) -> None:
    """Raise SettingsError where Dask is needed and not installed, or an address is none."""
    if needs_dask(fleet) and find_spec("distributed") is None:
        name = "workers" if fleet.scheduler is None else "scheduler"
        raise SettingsError(f"`{name}` needs Dask, which is not installed: pip install 'tempfit[dask]'")
    if fleet.scheduler is not None and not _is_address(fleet.scheduler):
        raise SettingsError(
            f"`scheduler`: {printable(fleet.scheduler)} is no address of a scheduler; write tcp://HOST:8786"
        )


def refuse_silence(fleet: FleetConfig) -> None:
    """Raise ServiceError where nothing takes connections at the scheduler's address."""
    if fleet.scheduler is None:
        return
    address = urlsplit(fleet.scheduler)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=PATIENCE).close()
    except (OSError, UnicodeError) as error:
        raise no_scheduler(fleet.scheduler, PATIENCE) from error


def no_scheduler(address: str, seconds: float) -> ServiceError:
    """What is said where none answers."""
    return ServiceError(
        f"no Dask scheduler answers at {printable(address)} within {seconds} s: start one (`dask scheduler`), or leave "
        "`scheduler` out"
    )


def warning_of(fleet: FleetConfig) -> str | None:
    """What has to be said of a scheduler that others can reach; None where there is none."""
    if fleet.scheduler is None or _is_loopback(fleet.scheduler):
        return None
    return (
        f"`scheduler`: {printable(fleet.scheduler)} may be within others' reach, and whoever reaches a Dask scheduler "
        "runs code on its workers, and by what they send back, here"
    )


def _is_address(text: str) -> bool:
    try:
        address = urlsplit(text)
        return address.scheme in ("tcp", "tls") and bool(address.hostname) and address.port is not None
    except ValueError:
        return False


def _is_loopback(address: str) -> bool:
    host = urlsplit(address if "://" in address else f"tcp://{address}").hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
