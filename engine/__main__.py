"""The command line: the studio's verbs, with arguments read off the requests' fields.

Exit status 0; 2 with one sentence on stderr; 130 when interrupted.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import MISSING, Field, asdict, fields
from pathlib import Path
from typing import Any, NoReturn

from engine import Studio, image, listing
from engine.generate import columns
from engine.request import REQUESTS, EngineFailure, GenerateRequest, Progress, RequestError, Requests, Result, from_recipe
from engine.settings import Settings

_GAP_PX = 8  # between the pictures of a grid
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.CRITICAL + 1, format="%(levelname)s %(message)s")
    try:
        options.command(options)
        sys.stdout.flush()
    except RequestError as error:
        print(error, file=sys.stderr)
        return 2
    except EngineFailure as error:
        print(error if options.verbose else "Something went wrong inside Vitrine; with --verbose before the command it is told in full.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what Python still wants to write at its end
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence instead of the usage."""
        self.exit(2, f"{message[0].upper()}{message[1:].rstrip('.')}; see {self.prog} --help.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m engine", description="Vitrine: repaint, generate and enhance product photos.", allow_abbrev=False)
    parser.add_argument("--verbose", action="store_true", help="print the log to stderr")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, about: str, command: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        sub.set_defaults(command=command)
        return sub

    for verb, kind in REQUESTS.items():
        about = (kind.__doc__ or "").splitlines()[0]
        sub = add(verb, about, _request)
        sub.set_defaults(verb=verb)
        for f in fields(kind):
            _add_argument(sub, f)
        _add_output(sub)

    looking = add("look", "Say what is found on a photo, and which steps of enhance it needs, without running them.", _look)
    looking.add_argument("photo", metavar="PHOTO")
    looking.add_argument("--json", action="store_true", help="as JSON")

    models = add("models", "List every network: its task, source, size, licence, where it is now, and its numbers.", _models)
    models.add_argument("--json", action="store_true", help="as JSON")

    presets = add("presets", "List the styles that come with Vitrine: their names, artworks, artists, years and licences.", _presets)
    presets.add_argument("--json", action="store_true", help="as JSON")

    recipe = add("recipe", "Print the recipe inside a picture that Vitrine made.", _recipe)
    recipe.add_argument("file", metavar="FILE")

    again = add("run", "Repeat a recipe, on the same photo or on another.", _run_recipe)
    again.add_argument("recipe", metavar="RECIPE.json")
    again.add_argument("photo", metavar="PHOTO", nargs="?", help="the photo, for recipes that need one")
    again.add_argument("--style", metavar="FILE", help="the style picture, for a recipe whose style was a file")
    again.add_argument("--more-styles", metavar="A,B", type=_names, help="the other style pictures, for a recipe that mixed some")
    again.add_argument("--mask", metavar="FILE", help="the mask, for a recipe that had one")
    again.add_argument("--protect", metavar="FILE", help="the protected area, for a recipe that had one")
    again.add_argument("--sketch", metavar="FILE", help="the sketch, for a recipe that had one")
    again.add_argument("--product", metavar="FILE", help="the product's mask, for a recipe that had one")
    again.add_argument("--ground", metavar="FILE", help="the picture under the product, for a recipe that had one")
    again.add_argument("--reference", metavar="FILE", help="what the result is measured against")
    _add_output(again)
    return parser


def _add_argument(parser: argparse.ArgumentParser, field: Field[Any]) -> None:
    """An argument for a request's field. Types are converted here; bounds and choices are the request's own business."""
    about = field.metadata["about"]
    if field.default is MISSING:
        parser.add_argument(field.name, metavar=field.name.upper(), help=about)
        return
    if "low" in field.metadata:
        about += f" ({field.metadata['low']} to {field.metadata['high']})"
    elif "options" in field.metadata:
        about += f" ({', '.join(map(str, field.metadata['options']))})"
    many = isinstance(field.default, tuple)
    if field.default not in (None, (), ""):
        about += f"; {','.join(field.default) if many else field.default} unless given"
    parser.add_argument(
        _flag(field.name),
        dest=field.name,
        metavar="A,B" if many else field.name.removesuffix("_px").upper(),
        default=field.default,
        type=_many(field) if many else type(field.default) if isinstance(field.default, int | float) else str,
        help=about.replace("%", "%%"),
    )


def _flag(name: str) -> str:
    return "--" + name.removesuffix("_px").replace("_", "-")


def _many(field: Field[Any]) -> Any:
    """What reads a list from one argument: numbers or names, separated by commas."""
    return _numbers if "float" in str(field.type) or "int" in str(field.type) else _names


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in _names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers separated by commas") from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        required=True,
        metavar="OUT",
        help="file to write: .png, .jpg or .webp; several pictures make a grid, or single files in a folder of this name; a walk into a .gif or .webp moves",
    )
    parser.add_argument("--quality", type=int, default=90, help="of JPEG and WebP (1 to 100); 90 unless given")
    parser.add_argument("--keep-exif", action="store_true", help="keep the photo's EXIF data, without its position")
    parser.add_argument("--json", action="store_true", help="print what happened as JSON")


def _request(options: argparse.Namespace) -> None:
    kind = REQUESTS[options.verb]
    _carry_out(kind(**{f.name: getattr(options, f.name) for f in fields(kind)}), options)


def _run_recipe(options: argparse.Namespace) -> None:
    try:
        recipe = json.loads(Path(options.recipe).read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{options.recipe} cannot be opened: {(error.strerror or str(error)).lower()}.") from error
    except (ValueError, RecursionError) as error:  # RecursionError: brackets in brackets without end
        raise RequestError(f"{options.recipe} is not a JSON file.") from error
    given = {
        name: value
        for name in ("photo", "style", "more_styles", "mask", "protect", "sketch", "product", "ground", "reference")
        if (value := getattr(options, name)) is not None
    }
    _carry_out(from_recipe(recipe, **given), options)


def _look(options: argparse.Namespace) -> None:
    proposal = Studio(_settings()).look(options.photo)
    if options.json:
        print(json.dumps(proposal.report(), indent=2, ensure_ascii=False))
        return
    width = max(len(finding.what) for finding in proposal.findings)
    for finding in proposal.findings:
        print(f"{finding.what.ljust(width)}  {finding.text}")
    print(f"steps: {', '.join(step.name for step in proposal.steps) or 'none'}")
    print(*proposal.reasons, sep="\n")


def _models(options: argparse.Namespace) -> None:
    models = Studio(_settings()).models()
    if options.json:
        print(json.dumps(models, indent=2, default=dict))
        return
    rows = [("name", "task", "source", "size", "licence", "where", "measured")]
    for model in models:
        size = f"{model['size'] / 1e6:.1f} MB" if model["size"] else "-"
        rows.append((model["name"], model["task"], model["source"], size, model["licence"], model["where"], _shown(model["measured"])))
    _print_table(rows)


def _presets(options: argparse.Namespace) -> None:
    presets = Studio(_settings()).presets()
    if options.json:
        print(json.dumps([asdict(preset) for preset in presets], indent=2, ensure_ascii=False))
        return
    _print_table([("name", "title", "artist", "year", "licence"), *((p.name, p.title, p.artist, str(p.year), p.licence) for p in presets)])


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _shown(measured: Any) -> str:
    return measured if isinstance(measured, str) else ", ".join(f"{name} {value:g}" for name, value in measured.items()) or "-"


def _recipe(options: argparse.Namespace) -> None:
    print(json.dumps(image.read_recipe(options.file), indent=2, ensure_ascii=False))


def _carry_out(request: Requests, options: argparse.Namespace) -> None:
    """Run a request, write its pictures, say what happened."""
    out = Path(options.out)
    _check_writable(out, request)
    if not 1 <= options.quality <= 100:
        raise RequestError("Quality must be a whole number from 1 to 100.")
    with closing(Studio(_settings()).run(request)) as events:
        result = _result(events)
    files = _save(request, result, out, options)
    if options.json:
        print(json.dumps(result.report() | {"files": [str(file) for file in files]}, indent=2, ensure_ascii=False))
    else:
        print(*files, sep="\n")
        print(result.notes.sentence(result.seconds))


def _settings() -> Settings:
    try:
        return Settings.from_environment()
    except ValueError as error:
        raise RequestError(str(error)) from error


def _is_folder(out: Path, request: Requests) -> bool:
    return request.many and (out.is_dir() or not out.suffix)


def _check_writable(out: Path, request: Requests) -> None:
    """What `save` would refuse after minutes of work is refused before it."""
    if _is_folder(out, request):
        if out.is_file():
            raise RequestError(f"{out} is a file, not a folder.")
        return
    if out.suffix.lower() not in (*_SUFFIXES, *(image.ANIMATED if _is_walk(request) else ())):
        only = "; only a walk can be animated" if out.suffix.lower() in image.ANIMATED else ""
        raise RequestError(f"Pictures are saved as {', '.join(_SUFFIXES)}, not as {out.name}{only}.")
    market = listing.asked_by(request.recipe())
    if market and (refusal := market.refusal(out.suffix.lower().lstrip(".").replace("jpeg", "jpg"))):
        raise RequestError(f"{refusal}, so it would not take {out.name}.")
    if not out.parent.is_dir():
        raise RequestError(f"There is no folder {out.parent}.")


def _is_walk(request: Requests) -> bool:
    return isinstance(request, GenerateRequest) and bool(request.walk_to)


def _save(request: Requests, result: Result, out: Path, options: argparse.Namespace) -> list[Path]:
    how: dict[str, Any] = {"quality": options.quality, "recipe": result.recipe, "keep_exif": options.keep_exif}
    if _is_folder(out, request):
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(f"The folder {out} cannot be made: {(error.strerror or str(error)).lower()}.") from error
        return [picture.save(out / f"{picture.name}.png", **how) for picture in result.pictures]
    if _is_walk(request) and out.suffix.lower() in image.ANIMATED:
        return [image.animate(result.pictures, out, quality=options.quality, recipe=result.recipe)]
    if len(result.pictures) == 1:
        return [result.pictures[0].save(out, **how)]
    return [image.grid(result.pictures, columns(len(result.pictures)), _GAP_PX, keep_alpha=True).save(out, **how)]


def _result(events: Iterator[Any]) -> Result:
    """The last event; the others become a line on stderr that is written over, where somebody can watch it."""
    watched = sys.stderr.isatty()
    try:
        for event in events:
            if isinstance(event, Result):
                return event
            if watched:
                print(f"\r\x1b[K{_line(event)}", end="", file=sys.stderr, flush=True)
    finally:
        if watched:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    raise AssertionError("a verb's last event is a Result")


def _line(progress: Progress) -> str:
    share = f"{100 * progress.done // progress.total:3d} %  " if progress.total else ""
    return f"{share}{progress.message}"


if __name__ == "__main__":
    sys.exit(main())
