"""The tutorial's code is what a third party would write: it is installed as a package of its own and run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TUTORIAL = (ROOT / "docs" / "write-a-connector.md").read_text()
SENT = {"type": "message", "chat": "c-7", "id": 12, "sender": "customer", "text": "Where is my parcel?", "sent": 1767603600}
RATED = {"type": "rating", "chat": "c-7", "stars": 2, "sent": 1767603700}


def write_package(folder: Path) -> None:
    files: dict[str, str] = {}
    for name, code in re.findall(r"```(?:python|toml) (\S+)\n(.*?)```", TUTORIAL, re.DOTALL):
        files[name] = files.get(name, "") + code + "\n"
    assert set(files) == {"acme_triage.py", "pyproject.toml", "test_acme.py"}
    for name, code in files.items():
        (folder / name).write_text(code)
    (folder / "payloads").mkdir()
    for name, payload in (("message", SENT), ("rating", RATED)):
        (folder / "payloads" / f"{name}.json").write_text(json.dumps(payload))
    # What installing the package leaves behind, without asking a package index.
    points = re.findall(r'\[project\.entry-points\."(\S+)"\]\n(.+)\n', files["pyproject.toml"])
    info = folder / "acme_triage-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-triage\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{line}\n" for group, line in points).replace('"', ""))


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    return subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_the_tutorials_source_keeps_the_contract(tmp_path: Path) -> None:
    write_package(tmp_path)

    done = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_acme.py")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 passed" in done.stdout


def test_a_third_partys_package_is_found_by_its_entry_point_and_gets_its_options(tmp_path: Path) -> None:
    write_package(tmp_path)
    (tmp_path / "triage.toml").write_text('[sources.acme]\nkind = "acme"\nsecrets = ["s3cret"]\nstars = 10\n')
    look = (
        "from service.app import make_sources; from service.settings import load_settings\n"
        "sources, _ = make_sources(load_settings())\n"
        f"print(sources['acme'].parse({json.dumps(RATED).encode()!r})[0].feedback.scale)"
    )

    done = run(tmp_path, "-c", look)

    assert (done.stdout.strip(), done.stderr) == ("1-10", "")
