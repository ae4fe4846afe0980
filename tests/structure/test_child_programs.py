"""A child program without a folder of its own is found."""

from __future__ import annotations

from pathlib import Path

from .child_programs import without_folder


def test_a_program_without_a_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        'subprocess.run([sys.executable, "-c", "pass"], cwd=tmp_path)\n'
        'subprocess.run([sys.executable, "-W", "error", "-c", "pass"])\n'
        'subprocess.run([sys.executable, "-m", "tox"])\n'
        'with Popen([sys.executable, "-c", "pass"], text=True):\n    pass\n'
    )
    assert without_folder(tmp_path) == ["test_a.py:2", "test_a.py:4"]
