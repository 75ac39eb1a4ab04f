"""The programs of `deploy/` before anything is copied: what they read, what they refuse. Docker is a script."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

DOCKER = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
    *--verify*) [ "$BACKUP" = whole ] ;;
    *--database-through* | *"up --detach"*) exit 1 ;;
    "info --format {{.DockerRootDir}}") echo / ;;
    "ps "*service=database*) echo 1234 ;;
    "image inspect "*) [ "$IMAGE" = there ] ;;
    *build*) [ "$IMAGE" = built ] ;;
esac
"""
Done = subprocess.CompletedProcess[str]


class Site:
    """A clone with git, settings and secrets, on a server whose Docker is a script."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder, self.calls = folder / "clone", folder / "calls"
        for name in ("setup", "lib.sh", "backup", "restore", "prometheus/prometheus.yml", "compose/vigil.yaml"):
            self.write(f"deploy/{name}", (root / "deploy" / name).read_text())
            shutil.copymode(root / "deploy" / name, self.folder / "deploy" / name)
        self.write("deploy/secrets/database_password", "secret")
        self.git("init", "--quiet")
        self.git("add", "deploy/setup", "deploy/prometheus")
        self.git("-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "--message=x")
        (folder / "bin").mkdir()
        (folder / "bin" / "docker").write_text(DOCKER)
        (folder / "bin" / "docker").chmod(0o755)
        self.path = f"{folder / 'bin'}:{os.environ['PATH']}"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.folder, check=True, timeout=60)

    def call(self, *command: str, image: str = "there", **environment: str) -> Done:
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("VIGIL_", "COMPOSE_"))}
        told = {**mine, "PATH": self.path, "CALLS": str(self.calls), "IMAGE": image, "BACKUP": "damaged", **environment}
        script, *arguments = command
        return subprocess.run(
            ["sh", script, *arguments],
            cwd=self.folder,
            env=told,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def site(root: Path, tmp_path: Path) -> Site:
    return Site(root, tmp_path)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("VIGIL_SECRETS=/srv/a", "/srv/a"),
        ("VIGIL_SECRETS=/srv/old\nVIGIL_SECRETS=/srv/a", "/srv/a"),
        ("export VIGIL_SECRETS=/srv/a", "/srv/a"),
        ("  VIGIL_SECRETS = /srv/a  ", "/srv/a"),
        ("VIGIL_SECRETS=/srv/a\r", "/srv/a"),
        ('VIGIL_SECRETS="/srv/a b" # ours', "/srv/a b"),
        ("VIGIL_SECRETS='/srv/$a'\r", "/srv/$a"),
        ("VIGIL_SECRETS=/srv/a # ours", "/srv/a"),
        ("VIGIL_SECRETS=/srv/a#b", "/srv/a#b"),
        ("VIGIL_SECRETS=", ""),
        ("#VIGIL_SECRETS=/srv/a", ""),
        ("MY_VIGIL_SECRETS=/srv/a", ""),
        ("VIGIL_SECRETS_2=/srv/a", ""),
    ],
)
def test_the_variables_are_read_as_compose_reads_them(site: Site, line: str, value: str) -> None:
    site.write(".env", f"{line}\n")
    read = site.write("read", "program=read; . deploy/lib.sh; understood; value VIGIL_SECRETS")
    assert site.call(str(read)).stdout.rstrip("\n") == value


@pytest.mark.parametrize("line", ["VIGIL_SECRETS=$HOME/secrets", 'VIGIL_SECRETS="${A}"', 'VIGIL_SECRETS="a\\nb"'])
@pytest.mark.parametrize("command", ["backup", "setup", "restore"])
def test_what_only_compose_fills_in_is_refused(site: Site, tmp_path: Path, line: str, command: str) -> None:
    site.write(".env", f"{line}\n")
    done = site.call(f"deploy/{command}", *([str(backup_of(tmp_path))] if command != "setup" else []))
    assert done.returncode == 1
    assert "VIGIL_SECRETS in .env has $ or \\ in it" in done.stderr
    filled = site.call("deploy/backup", str(tmp_path / "taken"), VIGIL_SECRETS=str(site.folder / "deploy/secrets"))
    assert "has $ or" not in filled.stderr, "the environment comes before .env"


def backup_of(folder: Path) -> Path:
    """What looks like a finished backup; one image in it is damaged, as Docker's script says."""
    taken = folder / "taken-before"
    for name, text in (("data/manifest.sha256", "0"), ("data/database.dump", "0"), ("installation/secrets/web/x", "x")):
        (taken / name).parent.mkdir(parents=True, exist_ok=True)
        (taken / name).write_text(text)
    (taken / "installation" / "env").write_text("VIGIL_IMAGE=ours:1\n")
    (taken / "installation.sha256").write_text(seal(taken))
    return taken


def seal(taken: Path) -> str:
    """The hashes of what belongs to the installation."""
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(taken / 'installation')}\n"
        for path in (taken / "installation").rglob("*")
        if path.is_file()
    )


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("VIGIL_SECRETS=/nowhere/secrets", "/nowhere/secrets/database_password"),
        ("VIGIL_SETTINGS='/nowhere/vigil.yaml'", "/nowhere/vigil.yaml"),
        ("VIGIL_CERTIFICATES=/nowhere/certificates", "/nowhere/certificates"),
        ("VIGIL_ROUTES=/nowhere/routes", "/nowhere/routes"),
        ("COMPOSE_FILE=docker-compose.yml:deploy/compose.tls.yml", "deploy/certificates/web.key"),
    ],
)
def test_a_backup_without_what_the_installation_needs_is_refused(
    site: Site, tmp_path: Path, line: str, missing: str
) -> None:
    site.write(".env", f"{line}\n")
    done = site.call("deploy/backup", str(tmp_path / "taken"))
    assert done.returncode == 1
    assert f"{missing} is missing or you may not read it" in done.stderr
    assert not (tmp_path / "taken").exists()


def test_what_was_changed_by_hand_is_kept_and_what_git_has_is_not(site: Site, tmp_path: Path) -> None:
    changed = "deploy/prometheus/rules/working_hours.yml"
    site.write("deploy/prometheus/rules/ours.yml", "groups: []\n")
    site.write(changed, "groups: []\n")
    site.git("add", changed)
    site.git("-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "--message=x", "--", changed)
    site.write(changed, "groups: [ours]\n")
    kept = tmp_path / "taken" / "installation" / "edited"
    done = site.call("deploy/backup", str(tmp_path / "taken"))
    assert "no backup was made" in done.stderr, "Docker's script copies no database"
    assert {str(path.relative_to(kept)) for path in kept.rglob("*.yml")} == {
        changed,
        "deploy/prometheus/rules/ours.yml",
    }
    assert (kept / changed).read_text() == "groups: [ours]\n"
    assert (tmp_path / "taken" / "installation" / "secrets" / "database_password").exists()


def test_a_damaged_backup_changes_nothing(site: Site, tmp_path: Path) -> None:
    shutil.rmtree(site.folder / "deploy" / "secrets")
    before = sorted(site.folder.rglob("*"))
    done = site.call("deploy/restore", str(backup_of(tmp_path)))
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert "ours:1 restore /backup --verify" in site.calls.read_text(), "by the image that the backup's .env names"
    assert sorted(site.folder.rglob("*")) == before


def test_what_was_changed_by_hand_is_put_back_where_git_has_what_is_there(site: Site, tmp_path: Path) -> None:
    taken, mine = backup_of(tmp_path), "deploy/prometheus/ours.yml"
    theirs = "deploy/prometheus/prometheus.yml"
    for name in (mine, theirs):
        (taken / "installation" / "edited" / name).parent.mkdir(parents=True, exist_ok=True)
        (taken / "installation" / "edited" / name).write_text("global: {}\n")
    (taken / "installation.sha256").write_text(seal(taken))
    done = site.call("deploy/restore", str(taken), BACKUP="whole")
    assert f"put back {theirs}; git diff shows the changes" in done.stdout, done.stderr
    assert [(site.folder / name).read_text() for name in (mine, theirs)] == ["global: {}\n"] * 2
    site.write(theirs, "global: {mine: 1}\n")
    assert f"{theirs} stays as it is" in site.call("deploy/restore", str(taken), BACKUP="whole").stderr
    assert (site.folder / theirs).read_text() == "global: {mine: 1}\n"


@pytest.mark.parametrize("image", ["built", "none"])
def test_a_missing_image_is_built_and_not_asked_of_a_registry(site: Site, tmp_path: Path, image: str) -> None:
    done = site.call("deploy/restore", str(backup_of(tmp_path)), image=image)
    calls = site.calls.read_text()
    assert "--file docker-compose.yml build migrate" in calls
    assert ("--verify" in calls) == (image == "built")
    assert ("ours:1 is missing and was not built" in done.stderr) == (image == "none")


def test_a_folder_that_docker_cannot_mount_is_refused(site: Site, tmp_path: Path) -> None:
    taken = backup_of(tmp_path)
    taken.rename(tmp_path / "12:30")
    done = site.call("deploy/restore", str(tmp_path / "12:30"))
    assert done.returncode == 1
    assert "has a colon in its name" in done.stderr


@pytest.mark.parametrize(("image", "enough"), [("there", True), ("none", False)])
def test_a_full_disk_stops_setup_only_where_the_image_has_to_be_built(
    site: Site, tmp_path: Path, image: str, enough: bool
) -> None:
    df = tmp_path / "bin" / "df"
    df.write_text("#!/bin/sh\necho Filesystem\necho / 1 1 $((5 * 1048576)) 1 /\n")
    df.chmod(0o755)
    done = site.call("deploy/setup", image=image)
    assert "/ has 5 GB free; the build of the image alone needs 12" in done.stderr
    assert (done.returncode == 0) == enough, done.stderr


def test_setup_lets_the_containers_read_what_was_cloned_for_its_owner_alone(site: Site, tmp_path: Path) -> None:
    elsewhere = tmp_path / "routes"
    elsewhere.mkdir(mode=0o700)
    for path in (site.folder / "deploy" / "prometheus").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    done = site.call("deploy/setup", VIGIL_ROUTES=str(elsewhere))
    assert done.returncode == 0, done.stderr
    assert (site.folder / "deploy" / "prometheus" / "prometheus.yml").stat().st_mode & 0o777 == 0o644
    assert f"may not read all of {elsewhere}" in done.stderr
    assert elsewhere.stat().st_mode & 0o777 == 0o700, "a folder of the hospital: its modes are its own"


def test_setup_keeps_the_lines_of_env_however_they_are_written(site: Site) -> None:
    site.write("deploy/here.yaml", "")
    site.write(".env", "export VIGIL_SETTINGS='deploy/here.yaml'\nexport COMPOSE_PROJECT_NAME=ours\n")
    done = site.call("deploy/setup", "--plain")
    assert done.returncode == 0, done.stderr
    written = (site.folder / ".env").read_text()
    assert written.count("VIGIL_SETTINGS=") == 1
    assert written.count("COMPOSE_PROJECT_NAME=") == 1
    assert not (site.folder / "deploy" / "site" / "vigil.yaml").exists()


def test_the_certificates_of_the_environment_are_looked_at(site: Site) -> None:
    overlay = "docker-compose.yml:deploy/compose.tls.yml"
    done = site.call("deploy/setup", COMPOSE_FILE=overlay, VIGIL_CERTIFICATES="/nowhere/certificates")
    assert done.returncode == 1
    assert "/nowhere/certificates/dicom.crt is missing" in done.stderr
