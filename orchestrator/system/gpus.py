"""NVIDIA's GPUs, as the driver's own libraries describe them, without a package.

NVML (nvml.h) is asked first. Where there is none, as on older Jetson boards, the CUDA driver
(cuda.h) is. Both come with the driver; under WSL2 they lie in a directory of their own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

NVML, CUDA = "libnvidia-ml.so.1", "libcuda.so.1"
WSL = "/usr/lib/wsl/lib"
VISIBLE = "CUDA_VISIBLE_DEVICES"

NO_LIBRARY = 12  # of nvmlReturn_t
CAPABILITY, INTEGRATED = (75, 76), 18  # CUdevice_attribute

Load = Callable[[str], Any]
"""Opens a shared library by its name; raises OSError where it is not there."""

LOAD: Load = ctypes.CDLL


class Gpu(NamedTuple):
    """One GPU, or one part of a GPU that is divided (MIG).

    Attributes:
        uuid: Its name for the driver and for CUDA_VISIBLE_DEVICES; empty where it has none.
        name: What its maker calls it.
        memory: Bytes in all; None where it shares the machine's memory.
        capability: Its compute capability; None where that is not known.
    """

    uuid: str
    name: str
    memory: int | None
    capability: tuple[int, int] | None


class VisibleGpus(NamedTuple):
    """The GPUs that a process with the user's variables may use, the first one first.

    Attributes:
        gpus: The GPUs.
        problem: Why there are none.
        library_is_missing: Whether the problem is that the driver's library is not there.
        cuda: The newest CUDA that the driver knows; None where that is not known.
        libraries: A directory that programs need for the driver's libraries; mostly none.
    """

    gpus: tuple[Gpu, ...] = ()
    problem: str = ""
    library_is_missing: bool = False
    cuda: tuple[int, int] | None = None
    libraries: str = ""


class _Memory(ctypes.Structure):
    """nvmlMemory_t: bytes."""

    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class _Process(ctypes.Structure):
    """nvmlProcessInfo_t: a process, and the bytes that it has on a GPU."""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


def find_gpus(variables: Mapping[str, str], load: Load = LOAD) -> VisibleGpus:
    """Return the GPUs that the driver lists and that CUDA_VISIBLE_DEVICES leaves.

    Args:
        variables: The user's variables.
        load: Opens the driver's libraries.
    """
    visible = variables.get(VISIBLE)
    if visible is not None and visible.strip() in ("", "-1"):
        return VisibleGpus(problem=f"{VISIBLE}={visible} hides every GPU of NVIDIA's")
    for library, describe in ((NVML, _from_nvml), (CUDA, _from_cuda)):
        opened, libraries = _open(library, load)
        if opened is not None:
            return describe(opened, visible)._replace(libraries=libraries)
    return VisibleGpus(problem=f"the driver's library {NVML} is not there", library_is_missing=True)


def free_memory(gpu: str, load: Load = LOAD) -> int | None:
    """Return the bytes that are free on a GPU; None where the driver does not say.

    Args:
        gpu: Its UUID.
        load: Opens the driver's libraries.
    """
    with _session(_open(NVML, load)[0]) as nvml:
        memory, handle = _Memory(), nvml.handle(gpu)
        if handle is None or nvml.call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory)):
            return None
        return int(memory.free)


def used_memory(gpu: str, load: Load = LOAD) -> dict[int, int]:
    """Return the bytes that processes have on a GPU, by process id, as far as the driver says.

    In a container and under WSL2 it names none, or processes by the numbers of another namespace.
    """
    with _session(_open(NVML, load)[0]) as nvml:
        handle = nvml.handle(gpu)
        processes, count = (_Process * 64)(), ctypes.c_uint(64)
        ask = "nvmlDeviceGetComputeRunningProcesses_v3"
        if handle is None or nvml.call(ask, handle, ctypes.byref(count), processes):
            return {}
        limit = 1 << 62  # NVML_VALUE_NOT_AVAILABLE is all ones
        return {int(p.pid): int(p.used) for p in processes[: count.value] if p.used < limit}


def _open(name: str, load: Load) -> tuple[Any, str]:
    # WSL2's first: a driver for Linux that was installed there answers as well, that it sees none.
    for directory in (WSL, ""):
        with suppress(OSError):
            return load(f"{directory}/{name}" if directory else name), directory
    return None, ""


@contextmanager
def _session(library: Any) -> Iterator[_Nvml]:
    nvml = _Nvml(library)
    try:
        yield nvml
    finally:
        if not nvml.failed:
            nvml.call("nvmlShutdown")


class _Nvml:
    """Calls of NVML, which is started here and must be shut down."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.failed = self.call("nvmlInit_v2")

    def call(self, name: str, *arguments: Any) -> int:
        """Call a function and return its code, 0 for success; older drivers lack some."""
        function = getattr(self._library, name, None)
        return NO_LIBRARY if function is None else int(function(*arguments))

    def words(self, code: int) -> str:
        """Return what a code means."""
        function = getattr(self._library, "nvmlErrorString", None)
        if function is None:
            return f"code {code}"
        function.restype = ctypes.c_char_p
        return str((function(code) or b"").decode("ascii", "replace"))

    def text(self, name: str, handle: Any) -> str:
        """Return the text that a function fills in, or nothing."""
        text = ctypes.create_string_buffer(96)
        failed = self.call(name, handle, text, ctypes.c_uint(len(text)))
        return "" if failed else text.value.decode("utf-8", "replace")

    def handle(self, uuid: str) -> Any:
        """Return the handle of the GPU with this UUID, or None."""
        handle, name = ctypes.c_void_p(), ctypes.c_char_p(uuid.encode("ascii", "replace"))
        if self.failed:
            return None
        failed = self.call("nvmlDeviceGetHandleByUUID", name, ctypes.byref(handle))
        return None if failed else handle

    def handles(self) -> Iterator[Any]:
        """Yield the handle of each GPU, in the order of their places on the bus."""
        count = ctypes.c_uint()
        self.call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        for number in range(count.value):
            handle = ctypes.c_void_p()
            ask = "nvmlDeviceGetHandleByIndex_v2"
            if not self.call(ask, ctypes.c_uint(number), ctypes.byref(handle)):
                yield handle

    def parts(self, handle: Any) -> Iterator[Any]:
        """Yield the handle of each part (MIG) of a GPU; none where it is not divided."""
        count = ctypes.c_uint()
        self.call("nvmlDeviceGetMaxMigDeviceCount", handle, ctypes.byref(count))
        for number in range(count.value):
            part = ctypes.c_void_p()
            ask = "nvmlDeviceGetMigDeviceHandleByIndex"
            if not self.call(ask, handle, ctypes.c_uint(number), ctypes.byref(part)):
                yield part

    def divided(self, handle: Any) -> bool:
        """Return whether a GPU works in parts (MIG), of which there may be none yet."""
        now, later = ctypes.c_uint(), ctypes.c_uint()
        failed = self.call("nvmlDeviceGetMigMode", handle, ctypes.byref(now), ctypes.byref(later))
        return not failed and now.value == 1

    def describe(self, handle: Any, whole: Any) -> Gpu:
        """Describe a GPU, or a part of the GPU `whole`."""
        memory, major, minor = _Memory(), ctypes.c_int(), ctypes.c_int()
        ask = "nvmlDeviceGetCudaComputeCapability"
        unknown = self.call(ask, whole, ctypes.byref(major), ctypes.byref(minor))
        shared = self.call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
        return Gpu(
            self.text("nvmlDeviceGetUUID", handle),
            self.text("nvmlDeviceGetName", whole) or "a GPU of NVIDIA's",
            None if shared else int(memory.total),
            None if unknown else (major.value, minor.value),
        )


def _from_nvml(library: Any, visible: str | None) -> VisibleGpus:
    with _session(library) as nvml:
        if nvml.failed:
            return VisibleGpus(problem=f"the driver does not answer ({nvml.words(nvml.failed)})")
        wholes: list[Gpu] = []
        named: dict[str, Gpu] = {}
        for handle in nvml.handles():
            whole = nvml.describe(handle, handle)
            parts = [nvml.describe(part, handle) for part in nvml.parts(handle)]
            if not parts and nvml.divided(handle):
                continue  # CUDA lists none that is to be divided, and is not yet
            # CUDA takes a divided GPU for its first part.
            first = parts[0] if parts else whole
            wholes.append(first)
            named |= {whole.uuid: first, **{part.uuid: part for part in parts}}
        version = ctypes.c_int()
        nvml.call("nvmlSystemGetCudaDriverVersion_v2", ctypes.byref(version))
        if not wholes:
            return VisibleGpus(problem="the driver lists no GPU that CUDA can use")
        gpus = tuple(wholes if visible is None else _visible(visible, wholes, named))
        problem = "" if gpus else f"{VISIBLE}={visible} names no GPU that the driver lists"
        return VisibleGpus(gpus, problem, cuda=_version(version.value))


def _visible(value: str, wholes: list[Gpu], named: Mapping[str, Gpu]) -> list[Gpu]:
    """Return the GPUs that CUDA leaves: the list ends where it names none, or one twice.

    A number is a place in the order of the bus; a UUID may be cut short.
    """
    gpus: list[Gpu] = []
    for word in map(str.strip, value.split(",")):
        if word.isdecimal():
            matching = wholes[int(word) : int(word) + 1]
        elif word.startswith(("GPU-", "MIG-")):
            matching = [gpu for uuid, gpu in named.items() if uuid.startswith(word)]
        else:
            break
        if len(matching) != 1:
            break
        if matching[0] in gpus:
            return []
        gpus += matching
    return gpus


def _from_cuda(library: Any, visible: str | None) -> VisibleGpus:
    """Ask the CUDA driver, which obeys CUDA_VISIBLE_DEVICES by itself."""
    del visible
    if failed := library.cuInit(0):
        return VisibleGpus(problem=f"the driver does not answer (CUDA error {failed})")
    version, count = ctypes.c_int(), ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(version))
    library.cuDeviceGetCount(ctypes.byref(count))
    gpus = []
    for number in range(count.value):
        device, name = ctypes.c_int(), ctypes.create_string_buffer(96)
        library.cuDeviceGet(ctypes.byref(device), number)
        library.cuDeviceGetName(name, len(name), device)
        total = ctypes.c_size_t()
        library.cuDeviceTotalMem_v2(ctypes.byref(total), device)
        major, minor, integrated = (
            _attribute(library, which, device) for which in (*CAPABILITY, INTEGRATED)
        )
        memory = None if integrated else int(total.value)
        gpus.append(Gpu("", name.value.decode("utf-8", "replace"), memory, (major, minor)))
    problem = "" if gpus else "the driver lists no GPU"
    return VisibleGpus(tuple(gpus), problem, cuda=_version(version.value))


def _attribute(library: Any, which: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    library.cuDeviceGetAttribute(ctypes.byref(value), which, device)
    return value.value


def _version(number: int) -> tuple[int, int] | None:
    """Return major and minor of a version as the driver counts it: 12040 is 12.4."""
    return (number // 1000, number % 1000 // 10) if number else None
