"""Where a process keeps its figures: told to prometheus_client before its import, when it looks, and so never later."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from app.settings import Settings


def share(settings: Settings, role: str) -> None:
    """Name the folder of figures to prometheus_client, which looks at its import; `serve` did so for its children.

    A process that shows its own figures shares none; a listener of several processes has a folder for them alone, since
    processes of other containers may have the same numbers.
    """
    if not settings.metrics.port:
        folder = os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str((settings.run / "metrics").resolve()))
        Path(folder).mkdir(parents=True, exist_ok=True)
    elif role == "listener" and settings.listener.processes > 1:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder = tempfile.mkdtemp(prefix="vigil-metrics-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    else:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
