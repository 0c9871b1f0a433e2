"""The rules about a model's configuration: against the device, its files and its packages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from orchestrator.core.patching import Patch
from orchestrator.core.patching.conflict import PatchConflict
from orchestrator.core.patching.patch_set import JsonEdit
from orchestrator.doctor.rules.config import (
    COMPUTED,
    DTYPE_KEYS,
    ClassReference,
    Config,
    dtype_named,
    read_config,
    references,
)
from orchestrator.doctor.rules.findings import Effect, Evidence, Fact, Finding, Layer, Results, rule
from orchestrator.doctor.rules.patches import fitted
from orchestrator.doctor.rules.subject import Subject

KeyPath = tuple[str, ...]
Check = Callable[[Config, KeyPath, Any, "Subject"], Results]

STORED = frozenset(
    {"float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"}
)
"""Dtypes that torch knows and in which only some GPUs compute."""

NEEDS_CUDA = frozenset({"fp8", "fbgemm_fp8", "eetq", "vptq", "higgs", "spqr", "fp_quant"})
"""Methods of quantisation that have kernels for CUDA alone."""

WANTS_CUDA = frozenset({"awq", "gptq", "bitsandbytes", "bitnet", "auto-round", "mxfp4"})
"""Methods whose usual kernels are for CUDA, and that some releases can run elsewhere."""

FLASH = re.compile(r"flash_attention_\d")


def check_configuration(subject: Subject) -> Results:
    """Check every configuration file of a model."""
    if not subject.configs and "config.json" not in subject.files:
        if subject.manifest is None:
            yield rule("not-examined").matched(Evidence(subject.name), directory=subject.name)
        elif subject.files:
            text = "its files have no config.json: their code and configuration are not examined"
            yield Fact(Layer.CONFIGURATION, text)
    for name, data in subject.configs.items():
        try:
            config = read_config(name, data)
        except PatchConflict as problem:
            evidence = Evidence(name, problem.line)
            yield rule("not-json").matched(evidence, file=name, problem=problem.found)
            continue
        if name.rpartition("/")[2] == "config.json":
            yield from _check_members(config, subject)
        if "/" not in name:  # transformers reads auto_map of the model's own directory alone
            for reference in references(config.value):
                yield from _check_reference(config, reference, subject)
    yield from subject.unread


def _check_members(config: Config, subject: Subject) -> Results:
    if top := dtype_named(config.value):
        text = f"{config.name} names the dtype {top}; the job's is {subject.conditions.dtype}"
        yield Fact(Layer.CONFIGURATION, text)
    for keys, check in CHECKS:
        for path, value in config.walk():
            if path[-1] in keys:
                yield from check(config, path, value, subject)


def _check_dtype(config: Config, path: KeyPath, value: Any, subject: Subject) -> Results:
    dtype = str(value).removeprefix("torch.")
    if not isinstance(value, str) or dtype == "auto" or "quantization_config" in path:
        return
    conditions, top = subject.conditions, dtype_named(config.value)
    if dtype not in COMPUTED and (dtype not in STORED or conditions.device != "cuda"):
        why = "and torch has no such dtype"
        if dtype in STORED:
            why = f"in which {conditions.device} does not compute"
        yield _found("unknown-dtype", config, path, subject, "float32", dtype=dtype, why=why)
    elif len(path) == 1 and dtype == "float16" and conditions.device == "cpu":
        # A dtype that the manifest lists was tried by its author.
        if conditions.dtype == "float16" and "float16" not in subject.offered_dtypes:
            yield _found("half-on-cpu", config, path, subject, "float32")
    elif len(path) > 1 and top and dtype != top and subject.mentions(path[0]):
        yield _found("mixed-dtypes", config, path, subject, top, dtype=dtype, part=path[0])


def _check_quantisation(config: Config, path: KeyPath, value: Any, subject: Subject) -> Results:
    if not isinstance(value, dict):
        return
    method = str(value.get("quant_method", "bitsandbytes"))
    place = (*path, "quant_method") if "quant_method" in value else path
    if subject.conditions.device == "cuda":
        yield Fact(Layer.CONFIGURATION, f"the weights are quantised by {method}")
    elif method in NEEDS_CUDA:
        yield _found("needs-cuda", config, place, subject, method=method)
    elif method in WANTS_CUDA:
        yield _found("wants-cuda", config, place, subject, method=method)


def _check_attention(config: Config, path: KeyPath, value: Any, subject: Subject) -> Results:
    lacks = ""
    if "flash-attn" not in subject.conditions.versions:
        lacks = "flash-attn is not in the environment"
    elif subject.conditions.device != "cuda":
        lacks = f"flash-attn does not run on {subject.conditions.device}"
    if lacks and isinstance(value, str) and FLASH.fullmatch(value):
        yield _found("attention", config, path, subject, "eager", value=value, lacks=lacks)


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (DTYPE_KEYS, _check_dtype),
    (("quantization_config",), _check_quantisation),
    (("attn_implementation", "_attn_implementation"), _check_attention),
)
"""What checks the members with one of the keys."""


def _check_reference(
    config: Config, reference: ClassReference, subject: Subject
) -> Iterator[Finding]:
    """Check that the code of a class that `auto_map` names is one of the model's files."""
    path, here = reference.path, reference.file in subject.files
    if reference.repository:
        found = partial(_found, "other-repository", config, path, subject, key=path[-1])
        effect = Effect.RISK if subject.manifest is None else Effect.STOPS
        yield found(reference.target if here and len(path) > 1 else "", effect, named=reference)
    elif not here and not _left_out(reference.file, subject):
        key, what = (path[-1], path[-1]) if len(path) > 1 else (config.name, "a class")
        yield _found("no-code", config, path, subject, key=key, what=what, named=reference)


def _left_out(file: str, subject: Subject) -> bool:
    """Return whether a model is meant to do without a file of the download's code."""
    source = subject.manifest.source if subject.manifest else None
    include = source.include if source else ()
    wanted = not include or any(fnmatchcase(file, pattern) for pattern in include)
    return not wanted and not any("trust_remote_code" in text for text in subject.runner.values())


def _found(
    name: str,
    config: Config,
    path: KeyPath,
    subject: Subject,
    to: str = "",
    effect: Effect | None = None,
    **values: Any,
) -> Finding:
    """Return the finding of a rule about the value at `path`, which a patch sets to `to`."""
    dotted, device = ".".join(path), subject.conditions.device
    values |= {"file": config.name, "path": dotted, "to": to, "device": device}
    known, patch = rule(name), None
    if to:
        # A dtype of the whole is the device's matter; anything else is wrong everywhere.
        when = {"device": device} if dotted in DTYPE_KEYS else {}
        why = known.why or "The configuration" + known.finding.removeprefix("{file}") + "."
        edit = JsonEdit(set={dotted: to})
        draft = Patch(id="draft", why=why.format(**values), file=config.name, when=when, json=edit)
        patch = fitted(draft, config.data, subject.conditions)
    return known.matched(config.evidence(path), effect=effect, patch=patch, **values)
