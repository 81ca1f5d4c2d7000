"""Kill every part of the platform while envelopes are in flight: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

import httpx2
import pytest

from tests.e2e.platform import Platform, codes, fresh_number, platform_up, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1500)]

PARTS = ("API", "Worker 1", "Temporal", "PostgreSQL", "S3", "Ministry stand-in", "Worker 2", "Mailbox")
SIZES = {"small": (30, 1), "full": (200, 3)}
"""Envelopes in flight, and how often each part is killed."""
DELAYS = {
    "PLI_COLLECT_EVERY": "1",
    "PLI_DELAY_ANSWER": "60",
    "PLI_DELAY_UNCERTAIN": "30",
    "PLI_DELAY_REMINDER": "600",
}
SOFTWARE = 12
"""Depositors at once."""


@pytest.fixture(scope="module")
def doomed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of its own: nothing shared is killed."""
    with platform_up(tmp_path_factory.mktemp("doomed"), workers=2, **DELAYS) as platform:
        yield platform


def deposit_until_accepted(platform: Platform, numero: str) -> str:
    """What patient business software does: the same key again and again until the answer is 202."""
    key = str(uuid.uuid4())
    while True:
        try:
            answer = platform.software.try_deposit(numero, key=key)
        except httpx2.TransportError:
            Event().wait(0.3)
            continue
        if answer.status_code == 202:
            enveloppe_id: str = answer.json()["id"]
            return enveloppe_id
        assert answer.status_code in (409, 500, 503), answer.text
        Event().wait(0.3)


def received(platform: Platform) -> Counter[str]:
    """How often the ministry received each act whole."""
    return Counter({row["id_acte"]: row["fois"] for row in platform.ministry.received() if row["id_acte"]})


def rows(platform: Platform) -> dict[str, tuple[str, str, bool]]:
    """Of each envelope: state, IDActe, whether it has a next date."""
    with platform.connection() as connection:
        found = connection.execute(
            "select id, etat, coalesce(id_acte, ''), echeance is not null from enveloppe"
        ).fetchall()
    return {row[0]: (row[1], row[2], row[3]) for row in found}


def kill_each_part(platform: Platform, times: int, chance: random.Random) -> list[str]:
    """Kill the parts in turn, at random moments; each is brought back by the supervisor."""
    killed = []
    for _ in range(times):
        for name in PARTS:
            Event().wait(chance.uniform(0.3, 2.5))
            platform.stack.supervisor.kill(name)
            killed.append(name)
            wait_until(partial(platform.stack.supervisor.serves, name))
    return killed


def test_nothing_is_lost_and_nothing_sent_twice_whatever_is_killed(
    doomed: Platform, request: pytest.FixtureRequest
) -> None:
    count, times = SIZES[request.config.getoption("--chaos")]
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - plays the same kills again
    chance = random.Random(seed)
    numbers = [fresh_number() for _ in range(count)]
    ids: list[str] = []

    with ThreadPoolExecutor(SOFTWARE) as software:
        deposits = [software.submit(deposit_until_accepted, doomed, numero) for numero in numbers]
        killed = kill_each_part(doomed, times, chance)
        ids = [deposit.result(timeout=600) for deposit in deposits]
    assert set(killed) == set(PARTS)
    assert len(set(ids)) == count

    def settled() -> bool:
        got = received(doomed)
        return all(
            etat == "scelle" or (etat == "a_decider" and not got[id_acte])
            for etat, id_acte, _ in rows(doomed).values()
        )

    wait_until(settled, 400, lambda: Counter(etat for etat, _, _ in rows(doomed).values()))
    now = rows(doomed)
    assert set(now) == set(ids), "every accepted envelope is there, and no other"
    assert max(received(doomed).values()) == 1, "nothing was received twice"

    waiting = [one for one, (etat, _, _) in now.items() if etat == "a_decider"]
    assert all(now[one][2] for one in waiting), "what waits for a person has a date"
    assert sum(received(doomed).values()) == count - len(waiting), "all that was received is sealed"
    print(f"killed {len(killed)} times; {len(waiting)} of {count} waited for a person")  # noqa: T201 - asked for

    for one in waiting:
        answer = doomed.software.post(f"/v1/actes/{one}/decision", json={"choix": "renvoyer"})
        assert answer.status_code in (200, 202), answer.text
    wait_until(
        lambda: all(etat == "scelle" for etat, _, _ in rows(doomed).values()),
        200,
        lambda: Counter(etat for etat, _, _ in rows(doomed).values()),
    )
    assert received(doomed) == Counter({id_acte: 1 for _, id_acte, _ in now.values()})
    some = doomed.software.one(ids[0])
    assert codes(some)[-1] == "scelle"
