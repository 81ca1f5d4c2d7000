"""Reference data of the register: classifications of the authorities, and names of people."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from registry.models import Classification, User
from schemas.actes import classification as norm


@lru_cache(maxsize=64)
def _parsed(xml: bytes) -> norm.Classification:
    return norm.parse_classification(xml)


def classification(session: Session, collectivite_id: str) -> norm.Classification:
    """The authority's current classification: its last RetourClassification, else the national one that Pli
    ships until the first arrives."""
    xml = session.scalar(
        select(Classification.xml)
        .where(Classification.collectivite_id == collectivite_id)
        .order_by(Classification.date_version.desc())
        .limit(1)
    )
    return norm.national() if xml is None else _parsed(xml)


def load_classification(
    session: Session, collectivite_id: str, xml: bytes, now: datetime
) -> norm.Classification:
    """Keep a RetourClassification (7-2) of an authority; raises `schemas.findings.Refused` where it can't be
    read. The same version received again is confirmed."""
    parsed = _parsed(xml)
    session.execute(
        insert(Classification)
        .values(
            collectivite_id=collectivite_id,
            date_version=parsed.date_version,
            xml=xml,
            loaded_at=now,
            confirmed_at=now,
        )
        .on_conflict_do_update(constraint="classification_version", set_={"confirmed_at": now, "xml": xml})
    )
    return parsed


def confirm_classification(session: Session, collectivite_id: str, now: datetime) -> None:
    """The ministry said that nothing changed (7-3)."""
    current = session.scalars(
        select(Classification)
        .where(Classification.collectivite_id == collectivite_id)
        .order_by(Classification.date_version.desc())
        .limit(1)
    ).first()
    if current is not None:
        current.confirmed_at = now


def user_name(session: Session, user_id: str) -> str:
    """A person's name, for the timeline."""
    return session.scalars(select(User.nom).where(User.id == user_id)).one()
