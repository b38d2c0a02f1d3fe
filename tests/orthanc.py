"""A real PACS for tests: Debian's Orthanc with its DICOMweb plugin, on a free port, in a folder of its own.

apt-get install orthanc orthanc-dicomweb
"""

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.conftest import skip_or_fail

PLUGINS = (Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc"), Path("/usr/local/share/orthanc/plugins"))
PROGRAMS = ("/usr/sbin/Orthanc", "/usr/local/sbin/Orthanc")
USER, PASSWORD = "reader", "a-password-of-a-test"
START_S = 30


@dataclass(frozen=True)
class Orthanc:
    """A running server. `auth` is what `basic_env` takes."""

    base: str
    auth: str = f"{USER}:{PASSWORD}"

    @property
    def url(self) -> str:
        """The address of the DICOMweb service."""
        return f"{self.base}/dicom-web"

    def store(self, files: Iterable[Path]) -> None:
        """STOW-RS, the bytes as they are."""
        for path in files:
            boundary = "the-boundary-of-a-test"
            head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            answer = requests.post(
                f"{self.url}/studies",
                data=head + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode(),
                headers={"Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}'},
                auth=(USER, PASSWORD),
                timeout=30,
            )
            assert answer.status_code == 200, (path.name, answer.status_code)

    def instances(self) -> list[str]:
        """Orthanc's own names of what it holds."""
        return list(requests.get(f"{self.base}/instances", auth=(USER, PASSWORD), timeout=30).json())

    def delete(self, level: str, name: str) -> None:
        """Remove a `patients`, `studies`, `series` or `instances` by Orthanc's own name."""
        requests.delete(f"{self.base}/{level}/{name}", auth=(USER, PASSWORD), timeout=30).raise_for_status()

    def clear(self) -> None:
        """Remove everything."""
        for name in requests.get(f"{self.base}/patients", auth=(USER, PASSWORD), timeout=30).json():
            self.delete("patients", name)


def installed() -> tuple[str, Path]:
    """The program and the plugin; skips the test where they are not installed, or fails it as CURATE_REQUIRE says."""
    program = shutil.which("Orthanc") or next((path for path in PROGRAMS if Path(path).exists()), None)
    plugin = next((found for folder in PLUGINS for found in sorted(folder.glob("libOrthancDicomWeb.so*"))), None)
    if program is None or plugin is None:
        skip_or_fail("tools", "Orthanc with its DICOMweb plugin is not installed: apt-get install orthanc-dicomweb")
    assert program is not None
    assert plugin is not None
    return program, plugin


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Orthanc]:
    """Orthanc with its index and its files in `folder`, for as long as the context is open."""
    program, plugin = installed()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        child = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder)
        try:
            server = Orthanc(f"http://127.0.0.1:{port}")
            _wait_for(server, child)
            yield server
        finally:
            child.terminate()
            child.wait(30)


def _wait_for(server: Orthanc, child: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert child.poll() is None, "Orthanc ended while it started"
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{server.base}/system", auth=(USER, PASSWORD), timeout=5).ok:
                return
        time.sleep(0.1)
    raise AssertionError(f"Orthanc did not answer within {START_S} s")
