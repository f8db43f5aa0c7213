"""`digits score`: many images in files -> a table of scores."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.errors import fail
from scoring.api import MOST_CALLS, SHARED_MEMORY
from scoring.pipeline import CHUNK_ROWS, IMAGE_CHUNK_ROWS
from scoring.readers.open import RULES

if TYPE_CHECKING:
    from scoring import Summary

# Options that mean something in one place alone, and by what one gets there.
_PLACES = {"--server": ("calls", "patience", "shared_memory"), "--engine ray": ("address", "actors", "gpus")}

# What of the environment says how to score in this process.
_SETTINGS = ("models", "default_model", "provider", "require_provider")


def score(  # noqa: D103 - below, since it is put together
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT…", help="Files, folders, globs or archives; - reads JSON lines from stdin."),
    ],
    out: Annotated[Path, typer.Option(metavar="OUTPUT", help="The table to write.")],
    format_: Annotated[
        Literal["parquet", "csv", "jsonl"] | None,
        typer.Option("--format", help="Of the table.", show_default="by the ending of OUTPUT"),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Score on this server.", show_default="in this process"),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Score in this process, as without --server.")] = False,
    model: Annotated[
        str, typer.Option(metavar="NAME[:VERSION]", help="Which model.", show_default="the default, newest version")
    ] = "",
    models: Annotated[
        Path | None, typer.Option(help="Models folder, without --server.", show_default="models, or DIGITS_MODELS")
    ] = None,
    provider: Annotated[
        Literal["cpu", "cuda", "auto"] | None,
        typer.Option(help="What onnxruntime runs on, without --server.", show_default="auto, or DIGITS_PROVIDER"),
    ] = None,
    variant: Annotated[
        Literal["int8", "fp16"] | None,
        typer.Option(help="Faster variant of the version, without --server.", show_default="the version itself"),
    ] = None,
    pixels: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the pixels are, see below.", show_default=False)
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="Where the labels are: adds accuracy and confusion matrix.", show_default=False
        ),
    ] = None,
    top_k: Annotated[
        int, typer.Option(metavar="K", help="Name the K best digits of each row beside all scores.", min=0)
    ] = 0,
    chunk_rows: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Rows that are read and kept together.",
            min=1,
            show_default=f"{CHUNK_ROWS}; {IMAGE_CHUNK_ROWS} of image files",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a job that was interrupted.")] = False,
    on_error: Annotated[
        Literal["fail", "record"] | None,
        typer.Option(
            help="Whether a bad row ends the job, or gets its error in the table.",
            show_default="record for image files, fail for all else",
        ),
    ] = None,
    calls: Annotated[
        int, typer.Option(help="Calls in flight to the server, each on a connection of its own.", min=1, max=MOST_CALLS)
    ] = 4,
    patience: Annotated[
        float, typer.Option(help="How long the server may give no answer, seconds.", min=0.001, max=1e6)
    ] = 60.0,
    shared_memory: Annotated[
        str,
        typer.Option(
            metavar="PREFIX",
            help="What the server was told by --shared-memory; empty: send pixels by gRPC even on this host.",
        ),
    ] = SHARED_MEMORY,
    engine: Annotated[Literal["here", "ray"], typer.Option(help="Work in this process, or on Ray's workers.")] = "here",
    address: Annotated[
        str | None,
        typer.Option(help="Of the Ray cluster.", show_default="a new one on this machine, for this job"),
    ] = None,
    actors: Annotated[
        int, typer.Option(help="Actors of Ray that score; 0: one for each CPU, or for what --gpus leaves.", min=0)
    ] = 0,
    gpus: Annotated[float, typer.Option(help="Part of a GPU that each actor of Ray gets.", min=0, max=1)] = 0.0,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw margins and confusion matrix there.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    from digits_client import DigitsError, Unavailable

    from scoring import InputError, JournalError, ScorerError
    from service.config import SettingsError, read_settings
    from service.telemetry.logs import configure_logs

    if server is not None:
        for flag, given in (
            ("--local", local),
            ("--models", models),
            ("--provider", provider),
            ("--variant", variant),
        ):
            if given:
                fail(f"{flag} goes without --server, which has models of its own", code=2)
        if engine == "ray":
            fail("--engine ray goes without --server: its workers have the model with them", code=2)
    here = {"--server": server is not None, "--engine ray": engine == "ray"}
    for place, names in _PLACES.items():
        for name in names:
            source = context.get_parameter_source(name)
            if not here[place] and source is not None and source.name == "COMMANDLINE":
                fail(f"--{name.replace('_', '-')} goes with {place}, and means nothing without", code=2)
    if report is not None and not next(each for each in (report, *report.absolute().parents) if each.exists()).is_dir():
        fail(f"the report cannot be written: {report} is no folder, nor can it become one")
    configure_logs("error", "auto")
    options: dict[str, Any] = {
        "model": model,
        "format": format_,
        "pixels": pixels,
        "labels": labels,
        "top_k": top_k,
        "chunk_rows": chunk_rows,
        "resume": resume,
        "on_error": on_error,
        "show": True,
    }
    if server is None:
        told = {name: value for name, value in (("models", models), ("provider", provider)) if value is not None}
        try:
            settings = read_settings(told, only=_SETTINGS)
        except SettingsError as error:
            fail(str(error), code=2)
        options |= {name: getattr(settings, name) for name in ("models", "provider", "require_provider")}
        options |= {"model": model or settings.default_model, "variant": variant}
    try:
        if engine == "ray":
            from scoring.ray_job import score_on_ray

            summary = score_on_ray(inputs, out, address=address, actors=actors, gpus=gpus, **options)
        else:
            from scoring import score as run

            options |= {"server": server, "calls": calls, "patience": patience, "shared_memory": shared_memory}
            summary = run(inputs, out, **options)
        if report is not None:
            from scoring.report import write_report

            write_report(summary, report)
    except KeyboardInterrupt:
        again = engine == "here" and "-" not in inputs
        fail("stopped" + "; the same command with --resume goes on" * again, code=130)
    except Unavailable as error:
        fail(f"{error}; start one with `digits serve`, or leave --server out")
    except JournalError as error:
        fail(str(error))
    except (InputError, ScorerError, DigitsError) as error:
        fail(f"{error}{_kept(out)}")
    except OSError as error:
        fail(f"{error.filename or out}: {error.strerror or error}{_kept(out)}")
    except ValueError as error:  # of the options
        fail(str(error), code=2)
    _print(summary, as_json)
    raise typer.Exit(3 if summary.failed else 0)


def _kept(out: Path) -> str:
    """How to go on, where something was scored."""
    from scoring.journal import count_chunks

    count = count_chunks(out)
    return f"; {count} finished chunks are kept, --resume goes on from there" if count else ""


def _print(summary: "Summary", as_json: bool) -> None:
    typer.echo(json.dumps(summary.as_json(), ensure_ascii=False) if as_json else "\n".join(summary.lines()))


score.__doc__ = f"""Score many images: files in, one table out, a row for each image and in their order.

The table has the columns id, digit, a score for each label (score_0 …), margin, top_1 … with --top-k, warnings, and
error. Warnings are those of `digits classify`: an image that is blank, inverted, or whose pixels look scaled to 0..1;
it is scored all the same, and the summary counts them.

{RULES}

A job that was killed goes on with --resume, where it was; finished chunks lie beside OUTPUT until then.

Exit code: 0 all rows have scores; 1 the job failed; 2 wrong usage; 3 it is finished, and some rows have an error
instead of scores; 130 stopped by Ctrl-C.
"""
