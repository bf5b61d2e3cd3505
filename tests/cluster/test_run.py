"""tests/run: what it says and keeps of a failure."""

import shutil

from processes import run
from shoal import ROOT


def test_all_that_a_failed_part_said_is_kept(tmp_path):
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "run", tmp_path / "tests" / "run")
    presets = """{"version": 3, "configurePresets": [{"name": "asan", "generator": "Ninja",
        "binaryDir": "${sourceDir}/build/asan"}]}"""
    (tmp_path / "CMakePresets.json").write_text(presets)
    says = "".join(f"message(STATUS step-{i}-error)\n" for i in range(500))
    (tmp_path / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.25)\nproject(x NONE)\n{says}message(FATAL_ERROR no)\n")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "failed-before.log").touch()

    done = run([tmp_path / "tests" / "run", "--no-install", "unit"], timeout=60)

    assert done.returncode == 1 and done.stdout.endswith("0 passed, 1 failed\n"), done.stdout + done.stderr
    assert "step-499-error" in done.stdout and "step-1-error" not in done.stdout
    assert "all of it: build/failed-build-asan.log" in done.stdout
    assert [path.name for path in tmp_path.glob("build/failed-*")] == ["failed-build-asan.log"]
    assert "step-1-error" in (tmp_path / "build" / "failed-build-asan.log").read_text()
