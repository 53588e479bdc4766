"""``provenance.json``: an in-toto statement (v1) with SLSA's provenance predicate (v1).

It says no more than the manifest does, in the words that other tools read, and is made from it: so
that whoever has both can check each field of the one against the other. It is not signed.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.digest import Digest
from toolchain.release.manifest import MANIFEST, Manifest, StepRecord, canonical, render_manifest

_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://slsa.dev/provenance/v1"
_BUILD_TYPE = "urn:tinyml-toolchain:package:1"
_BUILDER = "urn:tinyml-toolchain:builder:1"


def render_provenance(manifest: Manifest) -> bytes:
    """Return ``provenance.json`` of a release.

    ``subject`` is every file of the release beside this one and the checksums;
    ``internalParameters`` names each step's action, its image with the image's content, and where
    it ran; ``resolvedDependencies`` are images, pins, sources, and the user's files.
    """
    return canonical(
        {
            "_type": _STATEMENT,
            "subject": [
                {"name": name, "digest": {"sha256": sha256}} for name, sha256 in _subjects(manifest)
            ],
            "predicateType": _PREDICATE,
            "predicate": {
                "buildDefinition": {
                    "buildType": _BUILD_TYPE,
                    "externalParameters": {
                        "project": manifest.project,
                        "version": manifest.version,
                        "buildType": manifest.build_type,
                        "targets": [archive.board for archive in manifest.archives],
                        "model": manifest.model.model_dump(mode="json"),
                    },
                    "internalParameters": {
                        "steps": [_step(manifest, step) for step in manifest.steps]
                    },
                    "resolvedDependencies": list(_dependencies(manifest)),
                },
                "runDetails": {"builder": {"id": _BUILDER}},
            },
        }
    )


def _subjects(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for archive in manifest.archives:
        yield archive.path, archive.sha256
    yield MANIFEST, Digest.of_bytes(render_manifest(manifest)).sha256
    yield manifest.sbom.path, manifest.sbom.sha256


def _step(manifest: Manifest, step: StepRecord) -> dict[str, object]:
    (image,) = (each for each in manifest.images if each.name == step.image)
    return {
        "name": step.name,
        "action": {"sha256": step.action_sha256, "sizeBytes": step.action_size_bytes},
        "image": {
            "name": image.name,
            "content": image.content_sha256,
            "pins": {name: manifest.pins[name] for name in image.pins},
        },
        "ranOn": {
            "engine": step.engine,
            "isolated": step.isolated,
            "pinned": step.pinned,
            "server": step.server,
            "worker": step.worker,
        },
        "outputs": dict(step.outputs),
    }


def _dependencies(manifest: Manifest) -> Iterator[dict[str, object]]:
    for image in manifest.images:
        yield _dependency("image", image.name, image.content_sha256)
    for name, sha256 in manifest.pins.items():
        yield _dependency("pins", name, sha256)
    for name, sha256 in manifest.sources.items():
        yield _dependency("source", name, sha256)
    for given in manifest.model.given:
        yield _dependency("given", given.name, given.sha256)


def _dependency(kind: str, name: str, sha256: str) -> dict[str, object]:
    return {"name": name, "digest": {"sha256": sha256}, "annotations": {"kind": kind}}
