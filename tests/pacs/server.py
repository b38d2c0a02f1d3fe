"""A DICOMweb server of one's own making, which keeps the standard unless a test tells it to break it."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

STUDY, SERIES = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.1.1"
BOUNDARY = "----of-this-answer"
DICOM = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'


def dicom_file(uid: str, *, value: int = 0, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A DICOM file of one small picture."""
    import io

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.PatientID, dataset.Modality = "P1", "CT"
    dataset.Rows = dataset.Columns = 4
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = bytes([value] * 16)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def in_parts(*bodies: bytes, media_type: str = "application/dicom") -> bytes:
    """A multipart message."""
    head = f"--{BOUNDARY}\r\nContent-Type: {media_type}\r\n\r\n".encode()
    return b"\r\n".join(head + body for body in bodies) + f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass
class Said:
    """An answer. `sent` is how many bytes of it go out before the connection is dropped; null: all of them."""

    status: int = 200
    content_type: str = DICOM
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    sent: int | None = None
    after_s: float = 0.0


@dataclass
class Asked:
    """A request: the path below the service, the query, the headers, and how often this path was asked for before."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    before: int


class Pacs:
    """One study with one series, whose instances are `files` by UID. Tests replace `instance` or `search`."""

    def __init__(self, count: int = 3) -> None:
        self.files = {f"{SERIES}.{n}": dicom_file(f"{SERIES}.{n}", value=n) for n in range(1, count + 1)}
        self.asked: list[Asked] = []
        self.instance: Callable[[str, Asked], Said] = lambda uid, asked: Said(body=in_parts(self.files[uid]))
        self.search: Callable[[str, Asked], Said] = self.searched
        self.stated: dict[str, Any] = {}  # attributes of the study and the series besides their UIDs
        self.base = ""
        self._lock = threading.Lock()
        self._closing = threading.Event()

    @property
    def url(self) -> str:
        return f"{self.base}/dicom-web"

    @property
    def fetched(self) -> list[str]:
        """The UIDs of the instances that were asked for, one for each request."""
        return [asked.path.rsplit("/", 1)[1] for asked in self.asked if asked.path.count("/") == 7]

    def searched(self, level: str, asked: Asked) -> Said:
        """Matches as the standard wants them, with `limit` and `offset`."""
        matches: list[dict[str, Any]]
        if level == "instances":
            matches = [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in self.files]
        else:
            tag, uid = ("0020000D", STUDY) if level == "studies" else ("0020000E", SERIES)
            matches = [{tag: {"vr": "UI", "Value": [uid]}, **self.stated}]
        first = int(asked.query.get("offset", ["0"])[0])
        return in_json(matches[first : first + int(asked.query["limit"][0])])

    def said(self, asked: Asked) -> Said:
        place = asked.path.removeprefix("/dicom-web/").split("/")
        if len(place) == 6:
            return self.instance(place[-1], asked)
        return self.search(place[-1], asked)

    @contextlib.contextmanager
    def running(self) -> "Iterator[Pacs]":
        pacs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                with pacs._lock:
                    before = sum(asked.path == parts.path for asked in pacs.asked)
                    asked = Asked(parts.path, parse_qs(parts.query), dict(self.headers.items()), before)
                    pacs.asked.append(asked)
                said = pacs.said(asked)
                pacs._closing.wait(said.after_s)
                with contextlib.suppress(OSError):
                    self.send_response(said.status)
                    headers = {"Content-Type": said.content_type, "Content-Length": str(len(said.body))} | said.headers
                    for name, value in headers.items():
                        if value:
                            self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(said.body if said.sent is None else said.body[: said.sent])
                self.close_connection = said.sent is not None

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        self.base = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            self._closing.set()
            server.shutdown()
            thread.join()
            server.server_close()


def in_json(matches: Any, **more: Any) -> Said:
    """A list of matches."""
    return Said(content_type="application/dicom+json", body=json.dumps(matches).encode(), **more)
