"""The command `pli`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NoReturn
from uuid import uuid4

import typer
import typer.core
import typer.main
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.text import Text

from ops import timeline
from ops.client import Api, ClientError, Deposited, Piece, RefusedByApi, Unreachable
from ops.words import language, messages
from schemas.catalogue import load
from schemas.findings import UnknownMessage


class _Commands(typer.core.TyperGroup):
    """The commands; those of `admin` are loaded when asked for, for they bring the whole register."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), "admin"]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name != "admin":
            return super().get_command(ctx, cmd_name)
        from ops import admin

        command = typer.main.get_command(admin.app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_Commands,
    help="Pli carries official files to the State and to the vault, and proves every step.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

LOCAL_URL = "http://127.0.0.1:8430"
Url = Annotated[str, typer.Option(envvar="PLI_URL", help="Address of the platform.")]
Token = Annotated[str, typer.Option(envvar="PLI_TOKEN", help="Access token of the body’s software.")]


@app.command()
def up(
    once: Annotated[bool, typer.Option(help="End once the sample act is sealed.")] = False,
    folder: Annotated[Path, typer.Option(help="Where everything that it makes lives.")] = Path("var"),
) -> None:
    """Start the whole platform on this machine and carry one sample act through it."""
    from ops.up import run

    raise typer.Exit(run(folder, language(), once=once))


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="The act itself (PDF, or XML for a budget).")],
    numero: Annotated[str, typer.Option(help="The body’s own number: 1 to 15 of A-Z 0-9 _")],
    objet: Annotated[str, typer.Option(help="What the act is about.")],
    matiere: Annotated[str, typer.Option(help="Subject in the classification, e.g. 7.10")],
    nature: Annotated[int, typer.Option(help="1 délibération, 2 arrêté réglementaire … 6 autres")] = 1,
    jour: Annotated[
        str | None, typer.Option("--date", help="Day of the decision, YYYY-MM-DD; today if absent.")
    ] = None,
    type_piece: Annotated[str | None, typer.Option(help="Type of the document, e.g. 99_DE")] = None,
    annexe: Annotated[list[Path] | None, typer.Option(help="An annex; may be repeated.")] = None,
    precedente: Annotated[
        str | None, typer.Option(help="The envelope, refused or in anomaly, that this one corrects.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="A key of your choice: the same key gives the same envelope.")
    ] = None,
    watch: Annotated[bool, typer.Option(help="Stay and show each step as it happens.")] = False,
    url: Url = LOCAL_URL,
    token: Token = "",
) -> None:
    """Deposit an act; with --watch, exits 1 where it ends refused, in anomaly or given up."""
    fields: dict[str, object] = {
        "numero": numero,
        "objet": objet,
        "matiere": matiere,
        "nature": nature,
        "date_decision": jour or date.today().isoformat(),  # noqa: DTZ011 - the clerk's own day
        "annexes": [{} for _ in annexe or []],
    }
    if type_piece:
        fields["type_piece"] = type_piece
    if precedente:
        fields["precedente"] = precedente
    with _api(url, token) as api:
        deposited = _send(api, fields, [file, *(annexe or [])], key or str(uuid4()))
        said = "deja_depose" if deposited.replayed else "depose"
        out.print(messages().text(said, language(), id=deposited.id))
        if watch:
            raise typer.Exit(1 if _show(api, deposited.id, watch=True) in timeline.STOPPED else 0)


@app.command()
def status(
    id: Annotated[str, typer.Argument(help="The envelope’s identifier.")],  # noqa: A002 - the name in its help
    watch: Annotated[bool, typer.Option(help="Stay and show each step as it happens.")] = False,
    url: Url = LOCAL_URL,
    token: Token = "",
) -> None:
    """Show the timeline of an envelope."""
    with _api(url, token) as api:
        _show(api, id, watch=watch)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A proof pack (.zip).")],
    fingerprint: Annotated[
        str | None, typer.Option(help="SHA-256 of the seal’s certificate, got by another way.")
    ] = None,
) -> None:
    """Verify a proof pack, without any server; exits 1 where a byte was changed or another key sealed it."""
    from archive.proof import verify_pack

    if not file.is_file():
        _fail("fichier_absent", nom=str(file))
    report = verify_pack(file, expected_fingerprint=fingerprint)
    *checks, verdict = report.lines(language())
    for line in checks:
        out.print(Text("  " + line))
    out.print(Text(verdict, "green" if report.accepted else "bold red"))
    raise typer.Exit(0 if report.accepted else 1)


@app.command()
def rules() -> None:
    """List the rules of the norm that an act is checked against."""
    from schemas.actes.rules import RULES

    for rule in RULES:
        out.print(Text.assemble((rule.code, "bold"), f"  {rule.summary(language())}"))
        out.print(Text(f"    {rule.norm or messages().text('regle_de_pli', language())}", "dim"))


@app.command()
def worker() -> None:
    """Run a worker: what carries envelopes through (settings from the environment)."""
    from ops import admin
    from ops.worker import run_worker

    settings = admin.settings_or_exit("worker")
    asyncio.run(run_worker(settings))


@app.command()
def api() -> None:
    """Serve the REST API and the pages (settings from the environment)."""
    from ops import admin
    from ops.serve import run_api

    settings = admin.settings_or_exit("api")
    asyncio.run(run_api(settings))


def main() -> None:
    """Entry point of the command."""
    try:
        app()
    except RefusedByApi as refusal:
        _explain(refusal)
        sys.exit(1)
    except Unreachable as error:
        _fail("injoignable", url=str(error))
    except ClientError as error:
        err.print(Text(str(error), "red"))
        sys.exit(1)


def _api(url: str, token: str) -> Api:
    if not token:
        _fail("jeton_absent")
    return Api(url, token, language())


def _send(api: Api, fields: dict[str, object], files: list[Path], key: str) -> Deposited:
    """Deposit with a bar that shows the bytes as they leave."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with ExitStack() as open_files, Progress(*columns, console=err, transient=True) as progress:
        pieces = []
        for index, file in enumerate(files):
            words = messages().text("depot_en_cours", language(), nom=file.name)
            try:
                content = open_files.enter_context(progress.open(file, "rb", description=words))
            except OSError:
                _fail("fichier_absent", nom=str(file))
            pieces.append(Piece("annexe" if index else "document", file.name, content))
        return api.submit(fields, pieces, key)


def _show(api: Api, envelope_id: str, *, watch: bool) -> str:
    """Show an envelope's timeline; gives the state in which it stands at last."""
    from ops.walk import follow

    envelope = api.envelope(envelope_id)
    out.print(timeline.heading(envelope, language()))
    if watch:
        envelope = follow(api, envelope_id, out.print)
    else:
        for event in envelope["evenements"]:
            out.print(timeline.step(event))
    if (line := timeline.to_come(envelope, language())) is not None:
        out.print(line)
    for finding in envelope["refus"]:
        _explain_finding(finding)
    return str(envelope["etat"])


def _explain(refusal: RefusedByApi) -> None:
    """A refusal as people read it: what, where, which rule, what to do."""
    lines = messages()
    if not refusal.title:
        _fail("reponse_illisible", url="", status=str(refusal.status))
    err.print(Text(lines.text("refus", language(), titre=refusal.title, code=refusal.code), "bold red"))
    if advice := _advice(refusal):
        err.print(Text(f"→ {advice}"))
    for finding in refusal.findings:
        _explain_finding(finding)


def _advice(refusal: RefusedByApi) -> str:
    """What to do, in the command's own terms where the API's are about its requests."""
    try:
        return messages().text(f"conseil_{refusal.code}", language())
    except UnknownMessage:
        return refusal.detail


def _explain_finding(finding: dict[str, str]) -> None:
    lines, lang = messages(), language()
    err.print(
        Text.assemble(("  ✕ ", "red"), finding.get("message", ""), (f"  [{finding.get('code', '')}]", "dim"))
    )
    if finding.get("pointeur"):
        err.print(Text("    " + lines.text("ou", lang, pointeur=finding["pointeur"]), "dim"))
    if finding.get("norme"):
        err.print(Text("    " + lines.text("norme", lang, norme=finding["norme"]), "dim"))
    elif finding.get("code") in set(load("schemas")):
        err.print(Text("    " + lines.text("regle_de_pli", lang), "dim"))
    if finding.get("remede"):
        err.print(Text("    → " + finding["remede"]))


def _fail(code: str, **params: str) -> NoReturn:
    lines, lang = messages(), language()
    err.print(Text(lines.text(code, lang, **params), "red"))
    if remedy := lines.remedy(code, lang, **params):
        err.print(Text(f"→ {remedy}"))
    sys.exit(2)


if __name__ == "__main__":
    main()
