"""How a process stands with its system, asked of the system."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading

import pytest

from augserve_server.footing import let_work_go_on, stand_back

CHURN = """
import sys
from augserve_server.footing import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()

def faults():
    return int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[7])

def churn():
    for _ in range(20):
        bodies = [bytearray(400_000) for _ in range(16)]

churn()
before = faults()
churn()
print(faults() - before)
"""


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="the system has no such policy")
def test_the_thread_that_asks_waits_for_its_turn_and_no_other_does() -> None:
    found = []

    def ask() -> None:
        let_work_go_on()
        found.append(os.sched_getscheduler(0))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [os.SCHED_BATCH]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts page faults as Linux tells them")
def test_memory_that_is_freed_is_not_fetched_anew() -> None:
    def faults(how: str) -> int:
        return int(subprocess.check_output([sys.executable, "-c", CHURN, how], text=True))

    assert faults("keep") < 200 <= faults("leave") / 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux")
def test_a_thread_that_stands_back_is_less_urgent_and_its_turns_are_longer() -> None:
    found = {}

    def ask() -> None:
        stand_back(5)
        found["nice"] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        found["policy"] = os.sched_getscheduler(0)
        with open("/proc/thread-self/sched") as lines:
            found["slice"] = next((int(line.split(":")[1]) for line in lines if line.startswith("se.slice")), None)

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert (found["nice"], found["policy"]) == (5, os.SCHED_OTHER)
    if tuple(map(int, platform.release().split(".")[:2])) >= (6, 12):
        assert found["slice"] == 6_000_000
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
