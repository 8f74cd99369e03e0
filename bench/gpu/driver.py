"""NVRTC and the CUDA driver in ctypes: to compile and launch a kernel of bench/ beside torch, in torch's context and on
its streams. `python3 driver.py` names the GPU, or says why there is none and exits with 77."""
import ctypes
import dataclasses
import glob
import os
import re
import sys
import time
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p

SKIPPED = 77


class Missing(RuntimeError):
    """No GPU, or no library: a reason to skip, not a failure."""


class Failed(RuntimeError):
    pass


def nvrtc_places():
    named = os.environ.get("LACUNA_NVRTC")
    if named:
        return [named]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    packages = sys.path + glob.glob(os.path.join(root, ".venv/lib/python3*/site-packages"))
    wheels = [os.path.join(path, "nvidia", part, "lib") for path in packages for part in ("cu13", "cuda_nvrtc")]
    toolkits = sorted(glob.glob("/usr/local/cuda*/lib64") + glob.glob("/usr/local/cuda*/lib"), reverse=True)
    return [os.path.join(folder, f"libnvrtc.so.{major}") for folder in wheels + toolkits for major in (13, 12)]


class Nvrtc:
    def __init__(self):
        places = [place for place in nvrtc_places() if os.path.exists(place)]
        if not places:
            raise Missing(f"NVRTC is in none of {', '.join(nvrtc_places())}")
        self.path = os.path.realpath(places[0])
        for builtins in glob.glob(os.path.join(os.path.dirname(self.path), "libnvrtc-builtins.so.*")):
            ctypes.CDLL(builtins, mode=ctypes.RTLD_GLOBAL)  # NVRTC opens it by its bare name while it compiles
        self.library = ctypes.CDLL(self.path)
        major, minor = c_int(), c_int()
        self.check(self.library.nvrtcVersion(byref(major), byref(minor)))
        self.version = f"{major.value}.{minor.value}"

    def check(self, result):
        if result != 0:
            self.library.nvrtcGetErrorString.restype = c_char_p
            raise Failed(f"NVRTC: {self.library.nvrtcGetErrorString(result).decode()}")

    def compile(self, name, text, arch):
        """The cubin for `arch` ("sm_90"), with what the log says of registers and spills."""
        program = c_void_p()
        self.check(self.library.nvrtcCreateProgram(byref(program), text.encode(), name.encode(), 0, None, None))
        options = [f"--gpu-architecture={arch}", "--std=c++17", "--fmad=false", "--generate-line-info",
                   "--ptxas-options=-v", "--no-cache"]
        start = time.perf_counter()
        result = self.library.nvrtcCompileProgram(
            program, len(options), (c_char_p * len(options))(*(o.encode() for o in options)))
        milliseconds = (time.perf_counter() - start) * 1e3
        log = self._read(program, "ProgramLog").split(b"\0")[0].decode()
        try:
            if result != 0:
                raise Failed(f"{name} for {arch} does not compile:\n{log}")
            return Cubin(self._read(program, "CUBIN"), resources(log), milliseconds, log)
        finally:
            self.library.nvrtcDestroyProgram(byref(program))

    def _read(self, program, what):
        size = c_size_t()
        self.check(getattr(self.library, f"nvrtcGet{what}Size")(program, byref(size)))
        buffer = ctypes.create_string_buffer(max(size.value, 1))
        self.check(getattr(self.library, f"nvrtcGet{what}")(program, buffer))
        return buffer.raw[:size.value]


@dataclasses.dataclass
class Cubin:
    image: bytes
    resources: dict  # of each entry: registers, spill_bytes
    milliseconds: float
    log: str


def resources(log):
    found = {}
    for entry, body in re.findall(r"Compiling entry function '(\w+)'(.*?Used \d+ registers)", log, re.DOTALL):
        spills = re.findall(r"(\d+) bytes spill", body)
        found[entry] = dict(registers=int(re.search(r"Used (\d+)", body)[1]), spill_bytes=sum(map(int, spills)))
    if not found:
        raise Failed(f"the compiler's log names no entry:\n{log}")
    return found


class Driver:
    """libcuda. Loads into the context that is current: torch's, once torch has touched its GPU."""

    def __init__(self):
        try:
            self.library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise Missing(f"no CUDA driver: {error}") from None
        result = self.library.cuInit(0)
        if result != 0:
            raise Missing(f"no GPU answers: cuInit gives {result}")
        count, version = c_int(), c_int()
        self.check("cuDeviceGetCount", byref(count))
        if count.value == 0:
            raise Missing("the driver sees no GPU")
        self.check("cuDriverGetVersion", byref(version))
        self.version = f"{version.value // 1000}.{version.value % 1000 // 10}"

    def check(self, function, *arguments):
        result = getattr(self.library, function)(*arguments)
        if result != 0:
            text = c_char_p()
            self.library.cuGetErrorString(result, byref(text))
            raise Failed(f"{function}: {(text.value or b'?').decode()} ({result})")

    def name(self):
        text = ctypes.create_string_buffer(256)
        self.check("cuDeviceGetName", text, 256, 0)
        return text.value.decode()

    def kernel(self, image, entry, threads, shared_bytes):
        module, function = c_void_p(), c_void_p()
        self.check("cuModuleLoadData", byref(module), image)
        self.check("cuModuleGetFunction", byref(function), module, entry.encode())
        self.check("cuFuncSetAttribute", function, 8, shared_bytes)  # MAX_DYNAMIC_SHARED_SIZE_BYTES
        return Kernel(self, function, threads, shared_bytes)


class Kernel:
    def __init__(self, driver, function, threads, shared_bytes):
        self.driver, self.function, self.threads, self.shared_bytes = driver, function, threads, shared_bytes

    def launch(self, blocks, params, stream):
        """`params`: the ctypes structure that is the kernel's one parameter."""
        pointers = (c_void_p * 1)(ctypes.addressof(params))
        self.driver.check("cuLaunchKernel", self.function, blocks, 1, 1, self.threads, 1, 1, self.shared_bytes,
                          c_void_p(stream), pointers, None)


if __name__ == "__main__":
    try:
        found = Driver()
        print(f"{found.name()}, driver {found.version}")
    except Missing as missing:
        print(missing)
        sys.exit(SKIPPED)
