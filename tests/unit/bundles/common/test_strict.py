"""Configuration errors name the key, and the nearest known one."""

from pathlib import Path

import pytest

from bundles.common.contract import load_service
from bundles.common.strict import ConfigurationError, nearest, read_mapping

SERVICE = """
title: Mean intensity
accepts: {Modality: CT}
findings:
  - {finding: intracranial_hemorrhage, probability: hemorrhage}
window: {center: 55, width: 200}
"""


def bundle(folder: Path, text: str) -> Path:
    (folder / "configs").mkdir()
    (folder / "configs" / "service.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_minimal_contract_has_sensible_defaults(tmp_path: Path) -> None:
    service = load_service(bundle(tmp_path, SERVICE))
    assert (service.status, service.priority, service.idle_s) == ("research", 10, None)
    assert (service.findings[0].threshold, service.findings[0].calibrated) == (0.5, False)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("title:", "titel:", "unknown key 'titel', did you mean 'title'?"),
        ("probability:", "probabilty:", "unknown key 'findings.0.probabilty', did you mean 'probability'?"),
        ("width: 200", "width: 0", "window.width: Input should be greater than 0"),
    ],
)
def test_a_wrong_contract_says_where_and_what(tmp_path: Path, old: str, new: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_service(bundle(tmp_path, SERVICE.replace(old, new)))
    assert expected in str(caught.value)
    assert "service.yaml" in str(caught.value)


def test_nothing_near_lists_what_is_known() -> None:
    assert nearest("zzzz", ["port", "host"]) == "; known: host, port"


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not valid YAML"):
        read_mapping(path)
