"""How the stand-in can be told to misbehave. For tests and demonstrations: the product never asks it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum

from sandbox.errors import BadRule


class Comportement(StrEnum):
    """One way to misbehave."""

    DELAI = "delai"
    """Answer by mail `secondes` later."""
    REFUS_HTTP = "refus_http"
    """Answer HTTP `statut`: after the whole archive, or while it is still coming in (`tot`)."""
    ANOMALIE_ACTE = "anomalie_acte"
    """Answer 1-3."""
    ANOMALIE_ENVELOPPE = "anomalie_enveloppe"
    """Answer AnomalieEnveloppe."""
    COUPE_AVANT = "coupe_avant"
    """Cut the connection: before its handshake, or with a `siren` as soon as the archive's name is read."""
    COUPE_APRES = "coupe_apres"
    """Cut the connection after the last byte, without an HTTP answer."""
    DOUBLE_REPONSE = "double_reponse"
    """Send the same mail twice."""
    MAUVAIS_ENCODAGE = "mauvais_encodage"
    """Send UTF-8 bytes under an ISO-8859-1 label."""
    ACTE_INCONNU = "acte_inconnu"
    """Send a second mail, about an act that nobody sent."""
    JAMAIS = "jamais"
    """Take the archive and never answer."""
    PANNE = "panne"
    """Close the listener for `secondes`, or until the rules are lifted."""


@dataclass(frozen=True, slots=True)
class Reglage:
    """One rule; without `siren` and `numero` it holds for every archive."""

    comportement: Comportement
    siren: str | None = None
    numero: str | None = None
    fois: int | None = 1
    """How many archives it holds for; None: until it is lifted."""
    secondes: float | None = None
    statut: int = 503
    tot: bool = False
    garde: bool | None = None
    """Whether the archive counts as received though its sender cannot know (`refus_http`, `coupe_apres`)."""

    def keeps(self) -> bool:
        """`garde`, or what is usual: an archive is kept after a cut, not after a refusal."""
        return self.comportement is Comportement.COUPE_APRES if self.garde is None else self.garde

    def before_the_end(self) -> bool:
        """Whether it strikes while the archive is still coming in."""
        return self.comportement is Comportement.COUPE_AVANT or self.tot


def parse_reglage(data: object) -> Reglage:
    """The rule in a JSON object; raises `BadRule`."""
    known = {field.name for field in fields(Reglage)}
    if not isinstance(data, dict) or not data.keys() <= known:
        raise BadRule(f"a rule is an object with {', '.join(sorted(known))}")
    try:
        rule = Reglage(**{**data, "comportement": Comportement(str(data.get("comportement")))})
    except ValueError as error:
        raise BadRule(f"comportement is one of {', '.join(Comportement)}") from error
    _check(rule)
    return rule


def _check(rule: Reglage) -> None:
    texts = (rule.siren, rule.numero)
    if not all(value is None or isinstance(value, str) for value in texts):
        raise BadRule("siren and numero are texts")
    if rule.fois is not None and not (isinstance(rule.fois, int) and rule.fois >= 1):
        raise BadRule("fois is 1 or more, or null")
    if rule.secondes is not None and not (isinstance(rule.secondes, int | float) and rule.secondes >= 0):
        raise BadRule("secondes is a number of seconds")
    if not (isinstance(rule.statut, int) and 400 <= rule.statut <= 599):
        raise BadRule("statut is an HTTP status from 400 to 599")
    if not isinstance(rule.tot, bool) or not isinstance(rule.garde, bool | None):
        raise BadRule("tot and garde are true or false")
    if rule.comportement is Comportement.DELAI and rule.secondes is None:
        raise BadRule("delai needs secondes")
    if rule.before_the_end() and rule.numero is not None:
        raise BadRule("the number is known only once the archive is whole: match on siren")


class RuleBook:
    """The rules in force, in the order in which they were given."""

    def __init__(self, rules: list[Reglage] | None = None) -> None:
        self._rules = rules or []

    def add(self, rule: Reglage) -> None:
        """Put `rule` in force."""
        self._rules.append(rule)

    def clear(self) -> None:
        """Lift all rules."""
        self._rules.clear()

    def as_json(self) -> list[dict[str, object]]:
        """The rules in force, as `parse_reglage` reads them."""
        return [asdict(rule) for rule in self._rules]

    def take_at_connection(self) -> Reglage | None:
        """The rule that cuts a connection before its handshake, counted."""
        for rule in self._rules:
            if rule.comportement is Comportement.COUPE_AVANT and rule.siren is None:
                return self._count(rule)
        return None

    def take_at_name(self, siren: str | None) -> Reglage | None:
        """The rule that strikes once the name of an archive was read, counted."""
        for rule in self._rules:
            if rule.before_the_end() and rule.siren in (None, siren):
                return self._count(rule)
        return None

    def take_whole(self, siren: str, numero: str | None) -> dict[Comportement, Reglage]:
        """The rules that hold for an archive received whole, one of each kind, counted."""
        taken = dict[Comportement, Reglage]()
        for rule in list(self._rules):
            if (
                not rule.before_the_end()
                and rule.comportement not in taken
                and rule.siren in (None, siren)
                and rule.numero in (None, numero)
            ):
                taken[rule.comportement] = self._count(rule)
        return taken

    def _count(self, rule: Reglage) -> Reglage:
        place = self._rules.index(rule)
        if rule.fois is None:
            pass
        elif rule.fois > 1:
            self._rules[place] = replace(rule, fois=rule.fois - 1)
        else:
            del self._rules[place]
        return rule
