"""PACS: what a DICOMweb query finds, mirrored into files that a build then reads like any other folder."""

from curate.pacs.update import Ingested, check_source, from_mirror, ingest

__all__ = ["Ingested", "check_source", "from_mirror", "ingest"]
