"""A registry of images on 127.0.0.1: what the Distribution API needs for one pull, and no more."""

from __future__ import annotations

import gzip
import hashlib
import json

from tests.unit.registry_support import Server, tar_of

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def offer_image(server: Server, repository: str, files: dict[str, bytes]) -> str:
    """Offer an image of one layer and return its manifest's digest."""
    archive = tar_of(files)
    layer = gzip.compress(archive, mtime=0)
    configuration = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(archive)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": len(configuration),
                "digest": _digest(configuration),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "size": len(layer),
                    "digest": _digest(layer),
                }
            ],
        }
    ).encode()
    server.files["/v2/"] = b"{}"
    for data in (configuration, layer):
        server.files[f"/v2/{repository}/blobs/{_digest(data)}"] = data
    path = f"/v2/{repository}/manifests/{_digest(manifest)}"
    server.files[path] = manifest
    server.types[path] = _MANIFEST
    return _digest(manifest)
