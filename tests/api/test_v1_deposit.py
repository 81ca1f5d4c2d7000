"""A deposit by software: accepted once, durably; refused clearly, leaving nothing."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

import pytest
from sqlalchemy import update
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.services import ApiSettings, Services
from archive.s3 import S3Store
from archive.store import Ref, StoreUnavailable
from registry.door import Platform
from registry.models import Enveloppe
from schemas.states import Etat
from tests.api.conftest import Doors
from tests.api.deposit import annexe, deposit, document, nothing_left


def test_a_deposit_is_durable_and_started_when_the_caller_hears_202(doors: Doors) -> None:
    answer = deposit(doors)
    assert answer.status_code == 202, answer.text
    envoi = answer.json()
    assert answer.headers["location"] == f"/v1/actes/{envoi['id']}"
    assert (envoi["etat"], envoi["famille"], envoi["a_qui"]) == ("depose", "en_cours", "pli")
    assert envoi["echeance"]
    assert envoi["prochaine_etape"]
    assert [event["code"] for event in envoi["evenements"]] == ["depose"]
    assert doors.objects() == [f"{doors.mine.id}/{envoi['id']}/{envoi['pieces'][0]['id']}"]
    assert doors.workflow_type(envoi["id"]) == "EnvelopeWorkflow"


def test_pieces_keep_their_order_names_and_types(doors: Doors) -> None:
    answer = deposit(
        doors,
        files=[document(), annexe(name="un.pdf"), annexe(name="deux.pdf")],
        annexes=[{"type_piece": "99_SE"}, {}],
    )
    assert answer.status_code == 202, answer.text
    assert [(p["role"], p["position"], p["nom"], p["type_piece"]) for p in answer.json()["pieces"]] == [
        ("document", 1, "délibération.pdf", "99_DE"),
        ("annexe", 2, "un.pdf", "99_SE"),
        ("annexe", 3, "deux.pdf", "99_DE"),
    ]


def test_the_same_key_and_body_give_the_same_envelope(doors: Doors) -> None:
    first, second = deposit(doors, key="k"), deposit(doors, key="k")
    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json()["id"] == first.json()["id"]
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert len(doors.objects()) == 1


def test_the_same_key_with_another_body_is_refused(doors: Doors) -> None:
    deposit(doors, key="k")
    answer = deposit(doors, key="k", objet="Autre chose")
    assert (answer.status_code, answer.json()["code"]) == (422, "cle_idempotence_reutilisee")
    other_file = deposit(doors, key="k", files=[document(name="autre.pdf")])
    assert other_file.json()["code"] == "cle_idempotence_reutilisee"


def test_a_key_belongs_to_its_caller(doors: Doors) -> None:
    first = deposit(doors, key="k")
    second = deposit(doors, key="k", token=doors.other.token)
    assert second.status_code == 202
    assert second.json()["id"] != first.json()["id"]


def test_concurrent_calls_with_one_key_make_one_envelope(doors: Doors) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: deposit(doors, key="k"), range(8)))
    assert {a.status_code for a in answers} == {202}, [a.text for a in answers]
    assert len({a.json()["id"] for a in answers}) == 1
    assert sum("idempotent-replayed" not in a.headers for a in answers) == 1
    assert len(doors.objects()) == 1
    assert doors.rows() == {"enveloppe": 1, "stored_file": 1, "idempotency_key": 1, "upload_intent": 0}


def test_a_number_serves_once_a_body(doors: Doors) -> None:
    deposit(doors)
    answer = deposit(doors)
    assert (answer.status_code, answer.json()["code"]) == (409, "numero_deja_utilise")
    assert [erreur["pointeur"] for erreur in answer.json()["erreurs"]] == ["/numero"]
    assert len(doors.objects()) == 1
    assert doors.rows()["upload_intent"] == 0
    assert deposit(doors, token=doors.other.token).status_code == 202


@pytest.mark.parametrize("etat", [Etat.ANOMALIE, Etat.REFUSE, Etat.ABANDONNE, Etat.RETIRE])
def test_an_act_that_was_not_transmitted_is_corrected_under_its_number(doors: Doors, etat: Etat) -> None:
    refused = deposit(doors).json()["id"]
    doors.put_in_state(refused, etat)
    corrected = deposit(doors, precedente=refused)
    assert corrected.status_code == 202, corrected.text
    assert corrected.json()["precedente"] == refused
    assert doors.get(f"/v1/actes/{refused}").json()["corrigee_par"] == corrected.json()["id"]


def test_only_ones_own_refused_envelope_can_be_corrected(doors: Doors) -> None:
    mine = deposit(doors).json()["id"]
    theirs = deposit(doors, token=doors.other.token).json()["id"]
    doors.put_in_state(theirs, Etat.ANOMALIE)
    for precedente in (mine, theirs, "acte_inconnu", "x\x00y"):
        answer = deposit(doors, precedente=precedente, numero="AUTRE")
        assert answer.status_code in (409, 422), answer.text
        assert answer.json()["code"] in ("precedente_invalide", "parametre_invalide")
    assert len(doors.objects()) == 2


class _EngineDown:
    async def start_workflow(self, *_args: Any, **_options: Any) -> None:
        raise RPCError("no route", RPCStatusCode.UNAVAILABLE, b"")


def test_without_engine_the_caller_is_asked_to_come_back_and_finds_the_envelope(doors: Doors) -> None:
    services = doors.services
    doors.use(replace(services, temporal=cast(Client, _EngineDown())))
    answer = deposit(doors, key="k")
    assert (answer.status_code, answer.json()["code"]) == (503, "service_indisponible")
    assert int(answer.headers["retry-after"]) > 0
    doors.use(services)
    again = deposit(doors, key="k")
    assert again.status_code == 202
    assert again.headers["idempotent-replayed"] == "true"
    assert doors.workflow_type(again.json()["id"]) == "EnvelopeWorkflow"


class _StoreDownAfterOne(S3Store):
    def __init__(self, real: S3Store) -> None:
        self._real, self._puts = real, 0

    def put_file(self, key: str, path: Any) -> Ref:
        self._puts += 1
        if self._puts > 1:
            raise StoreUnavailable("down")
        return self._real.put_file(key, path)

    def delete(self, key: str) -> None:
        self._real.delete(key)


def test_a_store_that_fails_halfway_leaves_nothing(doors: Doors) -> None:
    doors.use(replace(doors.services, store=_StoreDownAfterOne(doors.store)))
    answer = deposit(doors, files=[document(), annexe()], annexes=[{}])
    assert (answer.status_code, answer.json()["code"]) == (503, "service_indisponible")
    nothing_left(doors)


def test_the_digest_of_the_body_is_checked(doors: Doors) -> None:
    wrong = b64encode(hashlib.sha256(b"other").digest()).decode()
    answer = deposit(doors, headers={"Content-Digest": f"sha-256=:{wrong}:"})
    assert (answer.status_code, answer.json()["code"]) == (400, "empreinte_differente")
    answer = deposit(doors, headers={"Content-Digest": "sha-256=pas-du-base64"})
    assert (answer.status_code, answer.json()["code"]) == (400, "empreinte_illisible")
    nothing_left(doors)
    assert deposit(doors, headers={"Content-Digest": "md5=:AAAA:"}).status_code == 202


def test_a_caller_without_the_right_deposits_nothing(doors: Doors) -> None:
    answer = deposit(doors, token=doors.mine.reader)
    assert (answer.status_code, answer.json()["code"]) == (403, "droit_manquant")
    nothing_left(doors)


def test_a_smaller_limit_refuses_while_streaming(
    doors: Doors, change: Callable[[Callable[[ApiSettings], ApiSettings]], None]
) -> None:
    change(lambda settings: replace(settings, deposit_limit=2000))
    answer = deposit(doors, files=[document(b"%PDF-" + b"x" * 2000)])
    assert (answer.status_code, answer.json()["code"]) == (413, "taille_depassee")
    assert answer.headers["connection"] == "close"
    nothing_left(doors)


def test_cancelling_an_acknowledged_act_makes_one_cancellation(doors: Doors) -> None:
    acte = deposit(doors).json()["id"]
    doors.put_in_state(acte, Etat.SCELLE)
    path = f"/v1/actes/{acte}/annulation"
    first = doors.post(path, key="a")
    assert first.status_code == 202, first.text
    assert (first.json()["transaction"], first.json()["acte"]) == ("6-1", acte)
    replay = doors.post(path, key="a")
    assert replay.json()["id"] == first.json()["id"]
    second = doors.post(path, key="b")
    assert (second.status_code, second.json()["code"]) == (409, "annulation_en_cours")
    assert doors.get(f"/v1/actes/{acte}").json()["annulations"] == [first.json()["id"]]


def test_an_act_on_its_way_is_not_cancelled(doors: Doors) -> None:
    acte = deposit(doors).json()["id"]
    doors.put_in_state(acte, Etat.TRANSMIS)
    answer = doors.post(f"/v1/actes/{acte}/annulation")
    assert (answer.status_code, answer.json()["code"]) == (409, "annulation_impossible")


def test_a_decision_is_taken_only_when_one_is_awaited(doors: Doors) -> None:
    acte = deposit(doors).json()["id"]
    answer = doors.post(f"/v1/actes/{acte}/decision", json={"choix": "renvoyer"})
    assert (answer.status_code, answer.json()["code"]) == (409, "decision_impossible")
    answer = doors.post(f"/v1/actes/{acte}/decision", json={"choix": "autre", "x": 1})
    assert answer.status_code == 422
    assert {e["pointeur"] for e in answer.json()["erreurs"]} == {"/choix", "/x"}


def test_the_classification_is_asked_for_once_a_key(doors: Doors) -> None:
    first = doors.post("/v1/classifications/demande", key="c")
    assert (first.status_code, first.json()["transaction"]) == (202, "7-1"), first.text
    assert doors.post("/v1/classifications/demande", key="c").json()["id"] == first.json()["id"]


def test_the_same_request_is_answered_when_the_act_has_ended(doors: Doors) -> None:
    acte = deposit(doors, key="k").json()["id"]
    with doors.services.register.session(Platform("test")) as session:
        session.execute(update(Enveloppe).where(Enveloppe.id == acte).values(objet="Autre"))
    doors.end_workflow(acte)
    assert deposit(doors, key="k").json()["id"] == acte


def test_services_are_what_the_application_was_given(doors: Doors) -> None:
    assert isinstance(doors.app.state.services, Services)
