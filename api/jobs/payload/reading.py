"""The three forms in which a submission may come: multipart, raw body, JSON.

Each also takes options from the query, so that the same URL asks for the same thing.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from io import BytesIO

from flask import Request
from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from api.jobs.payload.body import cut_out, read_body
from api.jobs.payload.form import Part, find_parts
from api.jobs.payload.json_body import read_submission
from api.jobs.schemas import FormOptions, JobOptions
from api.problems import MAX_NAME_CHARACTERS, ProblemError, invalid_field, invalid_fields
from common.problems import answers


@dataclass(frozen=True, slots=True)
class Payload:
    """The image as submitted, and the options."""

    image: bytes
    source: str
    options: JobOptions


def read_payload(
    request: Request, *, limit_bytes: int, other_parameters: Collection[str] = ()
) -> Payload:
    """Read a submission in whichever form the request has.

    Args:
        request: Its body must not have been read yet.
        limit_bytes: The largest body, once it is decompressed.
        other_parameters: Parameters of the query that are not options of the job.

    Raises:
        ProblemError: 400, 413, 415 or 422, with what is wrong.
    """
    read = _reader_for(request)
    payload = read(request, read_body(request, limit_bytes=limit_bytes))
    query = _form_options(request.args, but=other_parameters)
    return replace(payload, options=_agreed(payload.options, query))


def _reader_for(request: Request) -> Callable[[Request, BytesIO], Payload]:
    if request.mimetype == "multipart/form-data":
        return _from_multipart
    if request.mimetype == "application/json":
        return _from_json
    if request.mimetype.startswith("image/") or request.mimetype == "application/octet-stream":
        return _as_it_is
    declared = f"is declared as {request.mimetype}" if request.mimetype else "has no Content-Type"
    raise ProblemError(
        answers.UNSUPPORTED_MEDIA_TYPE,
        f"The body {declared}. Send the image as the field `image` of multipart/form-data, as a "
        "body of type image/*, or as application/json with the member `base64`.",
    )


def _as_it_is(_: Request, body: BytesIO) -> Payload:
    return Payload(body.getvalue(), "body", JobOptions())


def _from_json(_: Request, body: BytesIO) -> Payload:
    image, options = read_submission(body)
    return Payload(image, "base64", options)


def _from_multipart(request: Request, body: BytesIO) -> Payload:
    parts = find_parts(body.getvalue(), request.mimetype_params.get("boundary", ""))
    # `-F image=<photo.jpg` and some libraries send the file as a field without a name.
    files = [part for part in parts if part.is_file]
    if [file.name for file in files] != ["image"]:
        raise ProblemError(
            answers.ONE_IMAGE_EXPECTED,
            f"The form has {_listed(files)}; send one file, as the field `image`.",
        )
    fields = MultiDict(
        (part.name, body.getvalue()[part.start : part.end].decode(part.charset, "replace"))
        for part in parts
        if not part.is_file
    )
    options = _form_options(fields)
    return Payload(cut_out(body, files[0].start, files[0].end), "multipart", options)


def _listed(files: Iterable[Part]) -> str:
    names = [f"`{file.name[:MAX_NAME_CHARACTERS]}`" for file in files]
    return f"files in the fields {', '.join(names)}" if names else "no file (with a file name)"


def _form_options(fields: MultiDict[str, str], *, but: Collection[str] = ()) -> FormOptions:
    """Read the options among the fields of a form or a query, all but those named in *but*."""
    # An empty field of a form means the default.
    given = {
        name: [value for value in values if value != ""]
        for name, values in fields.lists()
        if name not in but
    }
    for name, values in given.items():
        if len(values) > 1:
            raise _contradicted(name, "it is given more than once")
    try:
        return FormOptions.model_validate({name: vs[0] for name, vs in given.items() if vs})
    except ValidationError as exc:
        raise invalid_fields(exc) from exc


def _agreed(body: JobOptions, query: JobOptions) -> JobOptions:
    """Return the options of the body, and those that only the query has.

    Raises:
        ProblemError: Both have an option, and disagree (422).
    """
    asked = {name: getattr(query, name) for name in query.model_fields_set}
    for name in body.model_fields_set & asked.keys():
        if getattr(body, name) not in (None, asked[name]):  # null in JSON means the default
            raise _contradicted(name, "the query and the body disagree")
    return body.model_copy(update=asked)


def _contradicted(name: str, how: str) -> ProblemError:
    return invalid_field(name[:MAX_NAME_CHARACTERS], f"{how}; send it once")
