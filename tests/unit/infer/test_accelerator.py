"""What an accelerator says of itself becomes gauges; what it does not say is left out. The driver is a stand-in."""

import pytest
import torch
from prometheus_client import REGISTRY

from app.infer import accelerator

GIGABYTE = 1 << 30


def value(name: str, gpu: str) -> float | None:
    return REGISTRY.get_sample_value(f"vigil_gpu_{name}", {"gpu": gpu})


def test_a_processor_has_none() -> None:
    accelerator.show_accelerator(torch.device("cpu"))
    assert value("memory_size_bytes", "None") is None


def test_memory_and_how_busy_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3 * GIGABYTE, 8 * GIGABYTE))
    monkeypatch.setattr(torch.cuda, "utilization", lambda _: 37)
    accelerator.show_accelerator(torch.device("cuda:6"))
    assert value("memory_used_bytes", "6") == 5 * GIGABYTE
    assert value("memory_size_bytes", "6") == 8 * GIGABYTE
    assert value("utilization_ratio", "6") == pytest.approx(0.37)


def test_the_current_device_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 5)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1, 2))
    monkeypatch.setattr(torch.cuda, "utilization", lambda _: 0)
    accelerator.show_accelerator(torch.device("cuda"))
    assert value("memory_size_bytes", "5") == 2


def test_what_the_driver_does_not_tell_is_absent_and_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from structlog.testing import capture_logs

    def refuse(_: int) -> int:
        raise RuntimeError("not supported on a part of a card")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1, 2))
    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    monkeypatch.setattr(accelerator, "_said", set())
    with capture_logs() as logs:
        accelerator.show_accelerator(torch.device("cuda:7"))
        accelerator.show_accelerator(torch.device("cuda:7"))
    assert value("utilization_ratio", "7") is None
    assert value("memory_used_bytes", "7") == 1
    assert [each["event"] for each in logs] == ["gpu_utilization_not_told"]


def test_the_library_that_torch_asks_is_installed() -> None:
    import pynvml

    assert callable(pynvml.nvmlDeviceGetUtilizationRates)
