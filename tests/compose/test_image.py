"""The image itself: who runs in it, what can be written, what is not in it; and it works where nothing is allowed."""

import subprocess

import pytest

from tests.compose.docker import BASE, docker, inspect

LOCKED = (
    "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--user", "10001", "--pids-limit", "256", "--tmpfs", "/tmp:rw,nosuid,nodev,noexec,size=1g,mode=1777",
)  # fmt: skip
FIXED = ("monai", "torch", "pydicom", "SimpleITK", "itk", "nibabel", "pynetdicom", "yaml", "prometheus_client")
LARGEST_GB = 2.2
"""Of the layers above the base image. Measured: 2.01, of which torch is 0.56, itk 0.56, SimpleITK 0.26."""
VOLUMES = {f"/var/lib/vigil/{name}" for name in ("spool", "results", "run", "bundles", "demo")} | {"/var/lib/vigil"}


def inside(image: str, script: str, user: str = "10001") -> str:
    """What a shell script says in the image; as another user it looks at what nobody else may see."""
    chosen = [user if each == "10001" else each for each in LOCKED]
    looks = ("--cap-add", "DAC_READ_SEARCH") if user == "0" else ()
    return docker("run", *chosen, *looks, "--entrypoint", "sh", image, "-euc", script, timeout_s=300)


def test_nothing_in_it_runs_as_root(vigil_image: str) -> None:
    assert inspect(vigil_image)[0]["Config"]["User"] == "10001:10001"
    assert inside(vigil_image, "id -u; id -g").split() == ["10001", "10001"]
    container = docker("run", "--detach", *LOCKED, vigil_image, "demo-pacs", "/tmp/pacs").strip()
    try:
        titles, *processes = docker("top", container, "-eo", "uid,pid,comm").splitlines()
        assert titles.split()[0] == "UID"
        assert len(processes) >= 2
        assert {line.split()[0] for line in processes} == {"10001"}
    finally:
        docker("rm", "--force", container)


def test_no_file_gives_anybody_more_rights(vigil_image: str) -> None:
    assert inside(vigil_image, "find / -xdev -type f -perm /6000", user="0") == ""
    assert inside(vigil_image, "command -v getcap >/dev/null && getcap -r / 2>/dev/null || true", user="0") == ""


def test_nothing_can_be_written_but_volumes_and_temporary_files(vigil_image: str) -> None:
    """With a root that is not read-only too: the user owns nothing else."""
    outside = "\\( -path /proc -o -path /sys -o -path /dev \\) -prune"
    script = f"find / -xdev {outside} -o ! -type l -writable -print 2>/dev/null || true"
    writable = set(docker("run", "--rm", "--network", "none", "--entrypoint", "sh", vigil_image, "-c", script).split())
    world = {"/tmp", "/var/tmp", "/run/lock"}
    assert writable - world == VOLUMES
    folders = "/ /etc /opt/vigil /var/tmp /var/lib/vigil/spool /usr/bin /tmp"
    locked = inside(vigil_image, f"for each in {folders}; do touch $each/x 2>/dev/null && echo $each || true; done")
    assert locked.split() == ["/tmp"]


def test_code_and_packages_belong_to_root(vigil_image: str) -> None:
    assert inside(vigil_image, "find /opt/vigil /etc/vigil ! -user root | head") == ""


def test_neither_compiler_nor_cache_nor_tests_are_in_it(vigil_image: str) -> None:
    found = inside(vigil_image, "for each in gcc cc g++ ld make git curl wget ssh; do command -v $each || true; done")
    assert found == ""
    looked = inside(
        vigil_image,
        "find / -xdev \\( -name .git -o -name 'vigil.yaml' -o -path '/root/.cache/*' -o -path '/var/lib/apt/lists/*_*' "
        "-o -path '/opt/vigil/tests' -o -path '/opt/vigil/pretraining' -o -path '/build' -o -name 'id_rsa*' \\) -print",
        user="0",
    )
    assert looked == ""
    for absent in ("pip", "matplotlib", "pyarrow", "tensorboard", "sklearn", "pytest", "pretraining"):
        script = f"python -c 'import importlib.util as u; print(u.find_spec(\"{absent}\"))'"
        assert inside(vigil_image, script) == "None\n", absent


def test_no_secret_is_in_a_layer_or_in_its_making(vigil_image: str) -> None:
    folders = "/etc /opt/vigil/app /opt/vigil/bundles /var/lib/vigil /home /root"
    search = f"grep -rlE -- '-----BEGIN ([A-Z]+ )?PRIVATE KEY' {folders} 2>/dev/null || true"
    keys = inside(vigil_image, search, user="0")
    assert keys == ""
    said = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", vigil_image).lower()
    assert "secret" not in said
    environment = inspect(vigil_image)[0]["Config"]["Env"]
    assert not [each for each in environment if any(word in each.upper() for word in ("PASSWORD", "TOKEN", "SECRET"))]


def test_the_fixed_packages_are_in_it_and_read_images(vigil_image: str) -> None:
    script = f"""
import importlib, tempfile, numpy as np
for name in {FIXED!r}: importlib.import_module(name)
import itk, SimpleITK, nibabel
from pathlib import Path
folder = Path(tempfile.mkdtemp())
voxels = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
for suffix in ("nii.gz", "nrrd", "mha"):
    itk.imwrite(itk.image_view_from_array(voxels), str(folder / f"a.{{suffix}}"))
    assert (np.asarray(itk.imread(str(folder / f"a.{{suffix}}"))) == voxels).all()
    assert (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / f"a.{{suffix}}"))) == voxels).all()
assert nibabel.load(folder / "a.nii.gz").shape == (4, 3, 2)
print("read", itk.GDCMImageIO)
"""
    found = docker("run", *LOCKED, "--entrypoint", "python", vigil_image, "-c", script, timeout_s=300)
    assert found.startswith("read ")


def test_check_works_in_it(vigil_image: str) -> None:
    volumes = [part for name in ("spool", "results", "run") for part in ("--tmpfs", f"/var/lib/vigil/{name}:uid=10001")]
    environment = {
        "VIGIL_BUNDLES__FOLDER": "/opt/vigil/bundles",
        "VIGIL_SPOOL__FOLDER": "/var/lib/vigil/spool",
        "VIGIL_SPOOL__MIN_FREE_MB": "1",
        "VIGIL_RESULTS": "/var/lib/vigil/results",
        "VIGIL_RUN": "/var/lib/vigil/run",
        "VIGIL_DATABASE__URL": "sqlite:////var/lib/vigil/run/vigil.sqlite",
    }
    options = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
    said = docker("run", *LOCKED, *volumes, *options, vigil_image, "check", timeout_s=300)
    assert "Ready" in said
    assert said.count("weights as recorded") >= 4


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--version",), 0, "vigil "),
        (("health", "web"), 1, "does not answer; see its log"),
        (("serve",), 2, "set `run`"),
        ((), 2, "copy deploy/vigil.yaml and edit it"),
    ],
)
def test_a_command_says_what_to_do_in_it(vigil_image: str, arguments: tuple[str, ...], code: int, words: str) -> None:
    command = ["docker", "run", *LOCKED, vigil_image, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, words in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_it_says_what_it_is_and_how_it_is(vigil_image: str) -> None:
    config = inspect(vigil_image)[0]["Config"]
    assert config["Labels"]["org.opencontainers.image.title"] == "vigil"
    assert config["Labels"].keys() >= {
        f"org.opencontainers.image.{name}" for name in ("version", "revision", "licenses")
    }
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][:4] == ["CMD", "python", "-m", "app"]
    assert config["Entrypoint"][0] == "/usr/bin/tini"


def test_it_is_no_larger_than_stated(vigil_image: str) -> None:
    gigabytes = (inspect(vigil_image)[0]["Size"] - inspect(BASE)[0]["Size"]) / 1e9
    assert 1 < gigabytes < LARGEST_GB
