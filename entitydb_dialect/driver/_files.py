"""Database files as a whole: is there one, and away with it.

Whoever has a database open holds locks on bytes of its file (docs/format.md, "The lock file"), as open file description
locks: those of this process count as anybody's. Who gets the same bytes exclusively is alone.
"""

from __future__ import annotations

import fcntl
import os
import struct

from .. import _exceptions as ex

_OURS = b"EntityDB"
_WRITER_BYTE = 1 << 60  # held shared by all who may write; the next byte by those who read without the lock file


def is_database(path: str) -> bool:
    """Is the file a database of ours? A missing or an empty one, and a folder, is none."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_OURS)) == _OURS
    except OSError:
        return False


def drop(path: str) -> None:
    """Removes a database: its file and its lock file.

    Raises:
        OperationalError: there is none, somebody has it open, or the system does not let us.
        DatabaseError: the file is not a database of ours.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise ex.OperationalError(f"cannot drop the database {path}: {error.strerror}") from error
    try:
        if os.pread(fd, len(_OURS), 0) != _OURS:
            raise ex.DatabaseError(f"{path} is not an EntityDB database; it is not removed")
        # struct flock: type, whence, start, length, pid.
        both_bytes = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, _WRITER_BYTE, 2, 0)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, both_bytes)
        except OSError as error:
            raise ex.OperationalError(
                f"cannot drop the database {path}: somebody has it open. Close the connections "
                "(Engine.dispose()) of this process and of others"
            ) from error
        try:
            os.unlink(path)
            if os.path.exists(path + "-lock"):
                os.unlink(path + "-lock")
        except OSError as error:
            raise ex.OperationalError(f"cannot drop the database {path}: {error.strerror}") from error
    finally:
        os.close(fd)


__all__ = ["drop", "is_database"]
