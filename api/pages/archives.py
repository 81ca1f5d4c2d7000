"""The vault for archivists: search the sealed records and take their proofs home."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response

from api.auth import services_of
from api.pages.choices import natures
from api.pages.lists import read_filters, to_filters
from api.pages.render import page
from api.pages.routing import pages
from api.services import Right
from api.sign_in import Visitor, allowed
from registry import envelopes

router = pages()

PAGE_SIZE = 25


@router.get("/archives")
def archives_page(
    request: Request, visitor: Annotated[Visitor, Depends(allowed(Right.ARCHIVES))], apres: str = ""
) -> Response:
    """Sealed records, newest deposit first, with the filters of the address."""
    services, asked = services_of(request), read_filters(request)
    with services.register.session(visitor.principal.scope) as session:
        found = envelopes.search_records(
            session, to_filters(asked, visitor), limit=PAGE_SIZE, after=apres or None
        )
        known_natures = natures(session, visitor.principal.collectivite_id)
    context = {
        "asked": asked,
        "filtered": bool(asked.query()),
        "natures": known_natures,
        "rows": found.lines,
        "first_page": f"/archives?{asked.query()}" if apres else None,
        "older": f"/archives?{asked.query(apres=found.suivant)}" if found.suivant else None,
    }
    return page(request, "archives.html", context)
