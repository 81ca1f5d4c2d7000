"""The ministry behaves, and misbehaves: the whole platform on its real parts."""

from __future__ import annotations

import io
from collections import Counter

import pytest

from archive.proof import verify_pack
from tests.e2e.platform import Platform, codes, fresh_number, wait_until

pytestmark = pytest.mark.stack


def times_received(platform: Platform, enveloppe_id: str) -> int:
    """How often the ministry received an act whole."""
    id_acte = platform.software.one(enveloppe_id)["id_acte"]
    return sum(row["fois"] for row in platform.ministry.received() if row["id_acte"] == id_acte)


def test_an_act_goes_from_upload_to_a_record_that_proves_itself(platform: Platform) -> None:
    one = platform.software.deposit()
    shown = platform.software.wait_for(one, "scelle")
    assert codes(shown) == [
        "depose", "controle_sans_antivirus", "mis_sous_enveloppe", "transmis", "acquitte", "tamponne",
        "bordereau", "scelle",
    ]  # fmt: skip
    assert verify_pack(io.BytesIO(platform.software.proof(one)), expected_fingerprint=None).intact


def test_a_server_that_is_down_is_tried_again(platform: Platform) -> None:
    platform.ministry.shall("panne", secondes=4)
    one = platform.software.deposit()
    shown = platform.software.wait_for(one, "scelle")
    assert "transmission_differee" in codes(shown)
    assert times_received(platform, one) == 1


def test_a_cut_before_the_last_byte_is_tried_again(platform: Platform) -> None:
    platform.ministry.shall("coupe_avant")
    one = platform.software.deposit()
    shown = platform.software.wait_for(one, "scelle")
    assert "transmission_differee" in codes(shown)
    assert times_received(platform, one) == 1


def test_a_cut_after_the_last_byte_waits_for_the_answer(platform: Platform) -> None:
    numero = fresh_number()
    platform.ministry.shall("coupe_apres", numero=numero)
    platform.ministry.shall("delai", numero=numero, secondes=2)
    one = platform.software.deposit(numero)
    platform.software.wait_for(one, "incertain")
    shown = platform.software.wait_for(one, "scelle")
    assert "incertain" in codes(shown)
    assert times_received(platform, one) == 1


def test_what_was_lost_after_the_last_byte_waits_for_a_named_person(platform: Platform) -> None:
    numero = fresh_number()
    platform.ministry.shall("coupe_apres", numero=numero, garde=False)
    one = platform.software.deposit(numero)
    shown = platform.software.wait_for(one, "a_decider")
    assert shown["a_qui"] == "responsable"
    assert shown["echeance"] is not None
    assert times_received(platform, one) == 0
    answer = platform.software.post(f"/v1/actes/{one}/decision", json={"choix": "renvoyer"})
    assert answer.status_code in (200, 202), answer.text
    platform.software.wait_for(one, "scelle")
    assert times_received(platform, one) == 1


def test_silence_ends_with_a_person_who_gives_up(platform: Platform) -> None:
    numero = fresh_number()
    platform.ministry.shall("jamais", numero=numero)
    one = platform.software.deposit(numero)
    platform.software.wait_for(one, "a_decider")
    answer = platform.software.post(
        f"/v1/actes/{one}/decision", json={"choix": "abandonner", "motif": "déposé en préfecture"}
    )
    assert answer.status_code in (200, 202), answer.text
    platform.software.wait_for(one, "abandonne")
    platform.software.wait_for(platform.software.deposit(numero, precedente=one), "scelle")


def test_a_status_that_is_not_200_is_never_followed_by_a_second_sending(platform: Platform) -> None:
    numero = fresh_number()
    platform.ministry.shall("refus_http", numero=numero, statut=503, garde=True)
    one = platform.software.deposit(numero)
    shown = platform.software.wait_for(one, "scelle")
    assert "incertain" in codes(shown)
    assert times_received(platform, one) == 1


def test_an_act_refused_by_the_ministry_is_corrected_and_sent_again(platform: Platform) -> None:
    numero = fresh_number()
    platform.ministry.shall("anomalie_acte", numero=numero)
    one = platform.software.deposit(numero)
    shown = platform.software.wait_for(one, "anomalie")
    assert shown["a_qui"] == "responsable"
    again = platform.software.deposit(numero, precedente=one)
    assert platform.software.wait_for(again, "scelle")["precedente"] == one
    assert "corrige_par" in codes(platform.software.one(one))


def test_a_refused_envelope_counts_as_not_transmitted(platform: Platform) -> None:
    numero = fresh_number()
    platform.ministry.shall("anomalie_enveloppe", numero=numero)
    one = platform.software.deposit(numero)
    platform.software.wait_for(one, "anomalie")


def test_an_answer_that_comes_twice_changes_nothing(platform: Platform) -> None:
    numero = fresh_number()
    platform.ministry.shall("double_reponse", numero=numero)
    one = platform.software.deposit(numero)
    platform.software.wait_for(one, "scelle")
    counted = Counter(codes(platform.software.one(one)))
    assert counted["acquitte"] == 1
    assert counted["scelle"] == 1


def test_a_wrong_encoding_label_is_read_all_the_same(platform: Platform) -> None:
    numero = fresh_number()
    platform.ministry.shall("mauvais_encodage", numero=numero)
    one = platform.software.deposit(numero, objet="Réfection de l’école Élisée-Reclus")
    platform.software.wait_for(one, "scelle")


def test_an_answer_for_an_unknown_act_is_kept_in_quarantine(platform: Platform) -> None:
    numero = fresh_number()
    platform.ministry.shall("acte_inconnu", numero=numero)
    one = platform.software.deposit(numero)
    platform.software.wait_for(one, "scelle")
    wait_until(lambda: platform.count("select count(*) from return_mail where state = 'quarantined'") >= 1)


def test_a_cancelled_act_keeps_both_records(platform: Platform) -> None:
    one = platform.software.deposit()
    platform.software.wait_for(one, "scelle")
    answer = platform.software.post(f"/v1/actes/{one}/annulation")
    assert answer.status_code == 202, answer.text
    shown = platform.software.wait_for(one, "annule")
    wait_until(lambda: codes(platform.software.one(one))[-1] == "scelle", what=lambda: codes(shown))


def test_asking_for_the_classification_loads_it(platform: Platform) -> None:
    answer = platform.software.post("/v1/classifications/demande")
    assert answer.status_code == 202, answer.text
    asked = answer.json()["id"]
    sealed = "select count(*) from enveloppe where id = %s and etat = 'scelle'"
    wait_until(lambda: platform.count(sealed, asked) == 1)
    assert platform.count("select count(*) from classification") >= 1
