"""Every setting, parsed once from YAML and environment, frozen. The only reader of `os.environ`.

A YAML file gives the settings; `VIGIL_SECTION__KEY` in the environment overrides one of them (`VIGIL_LISTENER__PORT`).
Unknown keys are refused with the nearest known one.
"""

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from app.access import Http
from app.audit.settings import Audit
from app.destinations import AeTitle, Destination, Port
from app.errors import Rejected
from app.peers import Peer, check_names
from app.tls.settings import ClientCertificates, ListenerTls
from bundles.common.strict import ConfigurationError, Strict, read_mapping, validate

PREFIX = "VIGIL_"
AUTO = "auto"


class Listener(Strict):
    """The DIMSE listener. Empty `peers` let everyone in, and say so in the log; with `tls` it speaks nothing else.

    `address` is where the web side finds it, if that is another machine or container; "" for this one.
    """

    host: str = "0.0.0.0"  # noqa: S104  a listener for scanners is there to be reached
    port: Port = 11112
    ae_title: AeTitle = "VIGIL"
    address: str = Field("", pattern=r"^[A-Za-z0-9_.:-]*$", max_length=253)
    peers: tuple[Peer, ...] = ()
    require_called_ae: bool = False
    max_associations: int = Field(50, ge=1)
    processes: int = Field(1, ge=1, le=16)
    max_pdu: int = Field(0, ge=0)
    acse_timeout_s: float = Field(30, gt=0)
    dimse_timeout_s: float = Field(60, gt=0)
    network_timeout_s: float = Field(60, gt=0)
    tls: ListenerTls | None = None

    @model_validator(mode="before")
    @classmethod
    def _say_what_replaced(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "allowed_calling_ae" in raw:
            raise ValueError(
                "allowed_calling_ae is now peers, a list: `peers: [{ae_title: CT1}, {ae_title: MR1}]`, each with the "
                "addresses and the certificate that it counts from, where you want that"
            )
        return raw

    @model_validator(mode="after")
    def _peers_fit(self) -> Self:
        check_names(self.peers)
        asked = [peer.ae_title for peer in self.peers if peer.certificate is not None]
        if asked and (self.tls is None or self.tls.client_certificates is ClientCertificates.NONE):
            raise ValueError(
                f"peers: '{asked[0]}' is known by a certificate, which nobody shows here: set listener.tls with "
                "client_certificates required or optional"
            )
        return self


class Spool(Strict):
    """Where received instances lie. New images are refused (0xA700) below `min_free_mb` of free disk."""

    folder: Path = Path("var/spool")
    min_free_mb: int = Field(2048, ge=0)


class Uploads(Strict):
    """What may be uploaded by HTTP: `max_file_mb` of one image, packed or not, `max_zip_mb` of a zip, which may hold
    `max_files` and unpack to `max_unpacked_mb` and, from 100 MB on, to `max_ratio` times its size. `max_open` uploads
    may be open at once; one that nothing comes for in `idle_s` is taken to be broken off.
    """

    max_file_mb: int = Field(4096, ge=1)
    max_zip_mb: int = Field(16384, ge=1)
    max_files: int = Field(20_000, ge=1, le=1_000_000)
    max_unpacked_mb: int = Field(65536, ge=1)
    max_ratio: float = Field(200, ge=1)
    max_open: int = Field(8, ge=1, le=100)
    idle_s: float = Field(120, gt=0)


class Assembly(Strict):
    """When a study counts as complete: quiet for `idle_s` (a route may say otherwise), and for `interrupted_s` where
    its sender broke off and may come back; at the latest after `cap_s`.
    """

    idle_s: float = Field(10, ge=0)
    interrupted_s: float = Field(300, ge=0)
    cap_s: float = Field(3600, gt=0)
    poll_s: float = Field(0.05, gt=0)


class Bundles(Strict):
    """Where bundles lie, and which to serve; an empty `enabled` serves all that have the service's contract.

    `also` names further folders, as a hospital's own beside those of the image; a name stands for one bundle over all.
    """

    folder: Path = Path("bundles")
    also: tuple[Path, ...] = ()
    enabled: tuple[str, ...] = ()


class Inference(Strict):
    """Where networks run. `auto` takes CUDA where there is one; `threads` 0 leaves the choice to torch."""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    threads: int = Field(0, ge=0)
    concurrency: int = Field(1, ge=1)
    timeout_s: float = Field(600, gt=0)
    max_voxels: int = Field(600_000_000, gt=0)


class Database(Strict):
    """The workflow database: a SQLite file by default, `postgresql://…` where there are several workers.

    `password_file` keeps the password of PostgreSQL out of `url`, of the environment and of lists of processes.
    """

    url: str = "sqlite:///var/vigil.sqlite"
    password_file: Path | None = None
    poll_s: float = Field(0.1, gt=0)


class Worker(Strict):
    """`id` is stable over restarts and differs between workers: recovery resumes what that id left undone. `auto` takes
    the name of the host, which in a container is the container's own; studies of one that is gone are taken over.
    """

    id: str = Field("worker-1", pattern=r"^[A-Za-z0-9_.-]+$", max_length=128)
    heartbeat_s: float = Field(5, gt=0)
    takeover_s: float = Field(30, gt=0)

    @field_validator("id")
    @classmethod
    def _of_this_host(cls, given: str) -> str:
        if given != AUTO:
            return given
        return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:128] or "worker"


class Retention(Strict):
    """How long what is done with is kept, in days; None keeps it for ever.

    Images (`spool_days`) go once every document of their study is delivered, never before; results (`results_days`)
    after the images. `workflows_days` is for the finished work in the workflow database, which nothing needs any more.
    """

    spool_days: float | None = Field(None, ge=0)
    results_days: float | None = Field(None, ge=0)
    workflows_days: float | None = Field(90, ge=0)

    @model_validator(mode="after")
    def _images_go_first(self) -> Self:
        if self.results_days is not None and (self.spool_days is None or self.results_days < self.spool_days):
            raise ValueError("retention: results_days cannot be shorter than spool_days: results outlive their images")
        return self


class Metrics(Strict):
    """Where each of listener, worker and web shows its own figures to Prometheus; 0 or nothing: nowhere. Under `serve`
    the web side shows the figures of all, whatever stands here.
    """

    host: str = "127.0.0.1"
    port: Port | None = None


class Log(Strict):
    """`console` for people, `json` for machines."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class Settings(Strict):
    """All settings of one installation."""

    listener: Listener = Listener()
    spool: Spool = Spool()
    uploads: Uploads = Uploads()
    assembly: Assembly = Assembly()
    bundles: Bundles = Bundles()
    inference: Inference = Inference()
    database: Database = Database()
    worker: Worker = Worker()
    retention: Retention = Retention()
    http: Http = Http()
    metrics: Metrics = Metrics()
    audit: Audit = Audit()
    log: Log = Log()
    destinations: tuple[Destination, ...] = ()
    routes: tuple[Path, ...] = ()
    results: Path = Path("var/results")
    run: Path = Path("var/run")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [destination.name for destination in self.destinations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"destinations: two are called '{twice[0]}'; give each a name of its own")
        return self


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read settings from a YAML file (None: defaults alone) and the environment.

    Raises:
        Rejected: The file is missing, is no YAML mapping, or holds an unknown or ill-typed key.
    """
    if path is not None and path.is_dir():
        raise Rejected(
            f"{path} is a folder, and no file of settings. Docker makes one where the file VIGIL_SETTINGS names is "
            "missing: remove it on the server (rmdir), put the file there (deploy/setup makes one), and start again"
        )
    try:
        raw = {} if path is None else read_mapping(path, "; copy deploy/vigil.yaml and edit it")
        _apply(os.environ if environment is None else environment, raw)
        return validate(Settings, raw, str(path or "environment"))
    except ConfigurationError as error:
        raise Rejected(str(error)) from error


def _apply(environment: Mapping[str, str], raw: dict[str, Any]) -> None:
    for name in sorted(environment):
        if not name.startswith(PREFIX):
            continue
        *sections, key = name[len(PREFIX) :].lower().split("__")
        target = raw
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise Rejected(f"{name}: '{section}' is no section of the settings")
        target[key] = yaml.safe_load(environment[name])
