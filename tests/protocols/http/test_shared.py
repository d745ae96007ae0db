"""The watch over silent answers, on a real event loop."""

import asyncio

from protocols.http.shared import Watch
from protocols.target import Target, Transport

TARGET = Target("192.0.2.1", 443, Transport.TLS, "o.test")


class Waiting:
    def __init__(self, patience: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._patience = patience
        self.silent: list[float] = []
        self.told = asyncio.Event()
        self.forsaken_by: list[Target] = []

    def waits_since(self) -> float:
        return self._since

    def patience(self) -> float:
        return self._patience

    def is_silent(self, now: float) -> None:
        self.silent.append(now - self._since)
        self._since = now
        self.told.set()

    def forsaken(self, target: Target) -> None:
        self.forsaken_by.append(target)


async def test_silence_is_told_when_patience_is_over_and_again_later() -> None:
    watch = Watch(asyncio.get_running_loop())
    waiting = Waiting(0.1)
    watch.add(waiting)
    for _ in range(2):
        await waiting.told.wait()
        waiting.told.clear()
    assert all(waited >= 0.1 for waited in waiting.silent)
    watch.remove(waiting)


async def test_answered_exchange_is_never_told_of() -> None:
    watch = Watch(asyncio.get_running_loop())
    answered, silent = Waiting(0.1), Waiting(0.2)
    watch.add(answered)
    watch.add(silent)
    watch.remove(answered)
    await silent.told.wait()
    assert answered.silent == []
    watch.remove(silent)


async def test_patient_exchange_does_not_hide_the_impatient_one_behind_it() -> None:
    watch = Watch(asyncio.get_running_loop())
    patient, impatient = Waiting(60.0), Waiting(0.1)
    watch.add(patient)
    watch.add(impatient)
    await impatient.told.wait()
    assert patient.silent == []
    watch.remove(patient)
    watch.remove(impatient)


async def test_forsaken_target_is_told_to_all_that_wait() -> None:
    watch = Watch(asyncio.get_running_loop())
    waiting = [Waiting(60.0), Waiting(60.0)]
    for one in waiting:
        watch.add(one)
    watch.forsake(TARGET)
    assert [one.forsaken_by for one in waiting] == [[TARGET], [TARGET]]
    for one in waiting:
        watch.remove(one)
