"""The cffi build of `entitydb_dialect._native`: everything in native/ and engine/ as one extension module.

Run by setuptools through `cffi_modules`, or by hand (`python native/build_native.py`), which builds in place. The
declarations come from the headers themselves, the regions between marker lines, so that the binding cannot drift.

ENTITYDB_BUILD chooses the kind of build:
  (unset)  what users get: -O2, asserts off
  test     with -DEDB_TEST: failpoints (of allocations, too), asserts, and the declarations of native/native_test.h and
           engine/testing/edb_test.h
  asan     as test, under AddressSanitizer and UndefinedBehaviorSanitizer (preload libasan to import it)

What the machine lacks ends the build with one line that names the Debian package.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cffi

ROOT = Path(__file__).resolve().parent.parent
MODULE = "entitydb_dialect._native"
KIND = os.environ.get("ENTITYDB_BUILD", "")

# _GNU_SOURCE is empty, as the files that define it themselves have it: a second, equal definition is no warning.
COMPILE = [
    "-std=gnu11", "-D_GNU_SOURCE=", "-Wall", "-Wextra", "-fvisibility=hidden", "-fno-plt", "-fno-strict-aliasing",
    "-pthread",
]
LINK = ["-pthread", "-lm"]
# The library's own allocations pass native/test_alloc.c.
WRAP = [f"-Wl,--wrap={name}" for name in ("malloc", "calloc", "realloc", "aligned_alloc", "strdup", "free")]
KINDS = {
    "": (["-O2", "-DNDEBUG"], []),
    "test": (["-O2", "-g", "-DEDB_TEST", "-UNDEBUG"], WRAP),
    "asan": (
        ["-O1", "-g", "-DEDB_TEST", "-UNDEBUG", "-fno-omit-frame-pointer", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=undefined"],
        ["-fsanitize=address,undefined", *WRAP],
    ),
}


def files(pattern: str) -> list[Path]:
    """The files of native/ and engine/ with names like `pattern`, in the folders below them too; sorted."""
    return sorted(path for folder in ("native", "engine") for path in (ROOT / folder).rglob(pattern))


def refuse(sentence: str) -> None:
    """End the build with one line."""
    sys.stderr.write(f"entitydb: {sentence}\n")
    sys.stderr.flush()
    # Not an exception: setuptools and pip would bury the line under tracebacks.
    os._exit(1)


def check_machine() -> None:
    machine = platform.machine()
    suits = sys.platform == "linux" and machine in ("x86_64", "aarch64") and sys.byteorder == "little"
    if not suits or sys.maxsize < 2**32:
        refuse(f"needs 64-bit little-endian Linux on x86-64 or aarch64, this is {sys.platform} on {machine}")
    if KIND not in KINDS:
        refuse(f"ENTITYDB_BUILD is {KIND!r}; it may be unset, 'test' or 'asan'")


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "gcc")


def check_tools() -> None:
    """Compile three includes, so that what is missing is named before the compiler's own pages of errors."""
    command = compiler()
    if shutil.which(command[0]) is None:
        if os.environ.get("CC") or shutil.which("gcc") is None:
            refuse(f"no C compiler ({command[0]}): apt-get install gcc libc6-dev")
        # Python remembers the compiler it was built with, which need not be here.
        os.environ["CC"] = "gcc"
        os.environ.setdefault("LDSHARED", "gcc -shared")
        command = ["gcc"]
    paths = sysconfig.get_paths()
    include = [f"-I{path}" for path in dict.fromkeys((paths["include"], paths["platinclude"]))]
    flags = shlex.split(os.environ.get("CPPFLAGS", "")) + shlex.split(os.environ.get("CFLAGS", ""))
    for header, package in (("stdio.h", "libc6-dev"), ("Python.h", "python3-dev"), ("sqlite3ext.h", "libsqlite3-dev")):
        result = subprocess.run(
            [*command, *flags, *include, "-E", "-x", "c", "-o", os.devnull, "-"],
            input=f"#include <{header}>\n", text=True, capture_output=True, check=False,
        )
        if result.returncode:
            refuse(f"{header} is missing: apt-get install {package}")


def declarations(header: str) -> str:
    """The marked regions of a header, without comments and preprocessor lines."""
    text = (ROOT / header).read_text(encoding="utf-8")
    regions = re.findall(r"^/\* cffi: begin \*/$(.*?)^/\* cffi: end \*/$", text, re.MULTILINE | re.DOTALL)
    if not regions:
        refuse(f"{header} has no lines '/* cffi: begin */' and '/* cffi: end */'")
    without_comments = re.sub(r"/\*.*?\*/|//[^\n]*", " ", "\n".join(regions), flags=re.DOTALL)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", "", without_comments, flags=re.MULTILINE)


def kind_stamp() -> str:
    """A file as new as the last change of kind: setuptools compares times only, and would keep the other kind's."""
    stamp = ROOT / "build" / "kind"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != KIND:
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(KIND, encoding="utf-8")
    return str(stamp.relative_to(ROOT))


def make_ffibuilder() -> cffi.FFI:
    check_machine()
    check_tools()
    testing = KIND in ("test", "asan")
    headers = ["engine/edb.h", "native/sqltokens.h", "native/sqlstatement.h", "native/sqlscript.h"]
    if testing:
        headers += ["native/native_test.h", "engine/testing/edb_test.h"]
    compile_flags, link_flags = KINDS[KIND]
    sources = [str(path.relative_to(ROOT)) for path in files("*.c")]
    depends = [str(path.relative_to(ROOT)) for path in files("*.h")]
    builder = cffi.FFI()
    for header in headers:
        builder.cdef(declarations(header))
    builder.set_source(
        MODULE,
        "".join(f'#include "{header}"\n' for header in headers),
        sources=sources,
        depends=[*depends, kind_stamp()],
        include_dirs=["."],  # every include names its folder: "engine/tree/page.h"
        extra_compile_args=[*COMPILE, *compile_flags],
        extra_link_args=[*LINK, *link_flags],
        define_macros=[("Py_LIMITED_API", "0x030a0000")],
        py_limited_api=True,
    )
    return builder


def compile_flags_in_place(keywords: dict) -> list[str]:
    paths = sysconfig.get_paths()
    return [
        "-fPIC",
        *keywords["extra_compile_args"],
        *(f"-D{name}={value}" for name, value in keywords["define_macros"]),
        *(f"-I{ROOT / folder}" for folder in keywords["include_dirs"]),
        *(f"-I{path}" for path in dict.fromkeys((paths["include"], paths["platinclude"]))),
        *shlex.split(os.environ.get("CPPFLAGS", "")),
        *shlex.split(os.environ.get("CFLAGS", "")),
    ]


def build_in_place() -> Path:
    """Build entitydb_dialect/_native.abi3.so, files side by side, and only those that changed.

    Objects are kept by compiler and flags; one is fresh if it is newer than its source and every header. Files appear
    by renaming, so builds may run beside each other and beside processes that have the module open.
    """
    builder = make_ffibuilder()
    _, _, _, keywords = builder._assigned_source
    command = [*compiler(), *compile_flags_in_place(keywords)]
    objects = ROOT / "build" / f"objects-{hashlib.sha256(' '.join(command).encode()).hexdigest()[:12]}"
    objects.mkdir(parents=True, exist_ok=True)
    glue = objects / "_native.c"
    with contextlib.redirect_stdout(None):      # it says what it does
        builder.emit_c_code(str(glue))          # leaves an equal file alone
    headers = [Path(__file__), *files("*.h")]
    newest_header = max(path.stat().st_mtime_ns for path in headers)

    def compile_one(source: Path) -> str:
        name = "cffi" if source == glue else "-".join(source.relative_to(ROOT).with_suffix("").parts)
        target = objects / f"{name}.o"
        newest = max(newest_header, source.stat().st_mtime_ns)
        if not target.exists() or target.stat().st_mtime_ns <= newest:
            # What cffi generates is not held to our warnings.
            strict = ["-Wno-unused-parameter", "-U_GNU_SOURCE"] if source == glue else ["-Werror"] if KIND else []
            fresh = target.with_suffix(f".{os.getpid()}")
            subprocess.run([*command, *strict, "-c", str(source), "-o", str(fresh)], check=True)
            os.utime(fresh, ns=(newest + 1, newest + 1))        # older than an edit made while it was compiled
            fresh.replace(target)
        return str(target)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        compiled = list(pool.map(compile_one, [glue, *(ROOT / source for source in keywords["sources"])]))
    module = ROOT / "entitydb_dialect" / "_native.abi3.so"
    fresh = module.with_suffix(f".{os.getpid()}")
    subprocess.run([*compiler(), "-shared", *compiled, *keywords["extra_link_args"], "-o", str(fresh)], check=True)
    fresh.replace(module)
    return module


if __name__ == "__main__":
    try:
        print(build_in_place())
    except subprocess.CalledProcessError as error:
        sys.exit(f"entitydb: the compiler failed ({error.returncode})")
else:
    ffibuilder = make_ffibuilder()
