"""What `mm doctor` finds where nothing is wrong, and what reading headers costs.

    python benchmarks/doctor.py SITE_PACKAGES

The models that transformers itself ships are looked at as if each file were a model's own code, on
a CPU in float32: what is found there is false, or a fault of theirs. SITE_PACKAGES is that of an
environment, as in `$(mm env path qwen3-tts)/lib/python3.12/site-packages`.
"""

import json
import statistics
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from orchestrator.catalog.directories import ManifestDirectory, Origin, builtin_directory
from orchestrator.core.patching import Conditions
from orchestrator.doctor import Layer, examine, load_tables
from orchestrator.doctor.rules.packages import Answer
from orchestrator.doctor.rules.subject import Subject
from orchestrator.doctor.site_packages import packages_of
from orchestrator.doctor.subject_files import read_weights

TENSORS, SIZE = 2700, 7_000_000_000


def main(site_packages):
    headers()
    alarms(Path(site_packages))


def headers():
    """Read the header of a file of 7 GB, most of it a hole."""
    each = SIZE // TENSORS // 2 * 2
    header = {
        f"model.layers.{number}.weight": {
            "dtype": "BF16",
            "shape": [each // 2],
            "data_offsets": [number * each, (number + 1) * each],
        }
        for number in range(TENSORS)
    }
    text = json.dumps(header).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        with path.open("wb") as stream:
            stream.write(struct.pack("<Q", len(text)) + text)
            stream.truncate(8 + len(text) + TENSORS * each)
        times = []
        for _ in range(21):
            files = {path.name: path}
            subject = Subject(
                name="model",
                files=files,
                conditions=Conditions("cpu", "float32"),
                original={}.get,
                load_weights=lambda files=files: read_weights(files),
            )
            began = time.perf_counter()
            assert examine(subject, [Layer.WEIGHTS]).findings == ()
            times.append(time.perf_counter() - began)
    print(f"a file of 7 GB, {TENSORS} tensors: {statistics.median(times) * 1000:.1f} ms (median)")


def alarms(site_packages):
    """Look at the model files that transformers ships."""
    table = load_tables([ManifestDirectory(builtin_directory(), Origin.BUILT_IN)])
    metadata = next(site_packages.glob("transformers-*.dist-info"))
    version = metadata.name.removeprefix("transformers-").removesuffix(".dist-info")
    packages = packages_of("", {"transformers": version}, site_packages)
    files = [
        path
        for path in sorted((site_packages / "transformers" / "models").glob("*/*.py"))
        if not any(part in path.name for part in ("_flax_", "_tf_", "convert"))
    ]
    counts = Counter()
    for path in files:
        contents = {
            path.name: path.read_bytes(),
            "config.json": json.dumps({"auto_map": {"AutoModel": f"{path.stem}.Model"}}).encode(),
        }
        subject = Subject(
            name=path.name,
            files=contents,
            conditions=Conditions("cpu", "float32", packages.versions),
            original=contents.get,
            load_weights=lambda: None,
            own=packages,
            table=table,
        )
        for finding in examine(subject, [Layer.DEVICE, Layer.DTYPES, Layer.API]).findings:
            counts[finding.layer.value] += 1
            print(f"  {finding.evidence[0].where}: {finding.evidence[0].quote}")
        for each in subject.imports:
            if each.level == 0 and each.top == "transformers" and not each.guarded:
                counts["names"] += packages.find(each.module, each.name) is Answer.MISSING
    print(f"transformers {version}: {len(files)} files, findings: {dict(counts)}")


if __name__ == "__main__":
    main(sys.argv[1])
