"""The three forms in which a submission may come: multipart, raw body, JSON.

Each takes its options from the query too, so that the same URL asks for the same thing.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from http import HTTPStatus

from flask import Request
from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from api.content_coding import decode_body
from api.problems import MAX_NAME_CHARACTERS, ProblemError, invalid_field, invalid_fields
from api.schemas import FormOptions, JobOptions, JsonSubmission


@dataclass(frozen=True, slots=True)
class Payload:
    """The image as it came, and what was asked for."""

    image: bytes
    source: str
    options: JobOptions


def read_payload(
    request: Request, *, limit_bytes: int, other_parameters: Collection[str] = ()
) -> Payload:
    """Read a submission in whichever form the request has.

    Args:
        request: Whose body nobody has read yet.
        limit_bytes: The largest body, once it is decompressed.
        other_parameters: Those of the query that say nothing about the job.

    Raises:
        ProblemError: 400, 413, 415 or 422, with what is wrong.
    """
    decode_body(request, limit_bytes=limit_bytes)
    payload = _read_body(request)
    query = _form_options(request.args, but=other_parameters)
    return replace(payload, options=_agreed(payload.options, query))


def _read_body(request: Request) -> Payload:
    if request.mimetype == "multipart/form-data":
        return _from_multipart(request)
    if request.mimetype == "application/json":
        return _from_json(request)
    if request.mimetype.startswith("image/") or request.mimetype == "application/octet-stream":
        return Payload(request.get_data(cache=False), "body", JobOptions())
    declared = f"is declared as {request.mimetype}" if request.mimetype else "has no Content-Type"
    raise ProblemError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "Unsupported Media Type",
        f"The body {declared}. Send the image as the field `image` of multipart/form-data, as a "
        "body of type image/*, or as application/json with the member `base64`.",
    )


def _from_multipart(request: Request) -> Payload:
    # `-F image=<photo.jpg` and some libraries send the file as a field without a name.
    uploads = request.files.getlist("image")
    if len(uploads) != 1 or set(request.files) != {"image"}:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "one-image-expected",
            "Exactly one image is expected",
            f"The form has {_listed(request)}; send one file, as the field `image`.",
        )
    return Payload(uploads[0].read(), "multipart", _form_options(request.form))


def _listed(request: Request) -> str:
    names = [f"`{name[:100]}`" for name in request.files for _ in request.files.getlist(name)]
    return f"files in the fields {', '.join(names)}" if names else "no file (with a file name)"


def _form_options(fields: MultiDict[str, str], *, but: Collection[str] = ()) -> FormOptions:
    """Read the options among the fields of a form or a query, all but those named in *but*."""
    # A field that is left empty in a form means the default.
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
    """Return the options of the body, with those that only the query has.

    Raises:
        ProblemError: Both have an option, and disagree (422).
    """
    asked = {name: getattr(query, name) for name in query.model_fields_set}
    for name in body.model_fields_set & asked.keys():
        if getattr(body, name) not in (None, asked[name]):  # null in JSON means the default
            raise _contradicted(name, "the query and the body disagree")
    return body.model_copy(update=asked)


def _contradicted(name: str, how: str) -> ProblemError:
    return invalid_field(name[:MAX_NAME_CHARACTERS], f"{how}; give it once")


def _from_json(request: Request) -> Payload:
    try:
        submission = JsonSubmission.model_validate_json(request.get_data(cache=False), strict=True)
    except ValidationError as exc:
        raise _not_json(exc) or invalid_fields(exc) from exc
    try:
        image = submission.image()
    except ValueError as exc:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "base64-broken",
            "The image is not base64",
            f"The member `base64` cannot be decoded: {exc}.",
        ) from exc
    return Payload(image, "base64", submission.options())


def _not_json(error: ValidationError) -> ProblemError | None:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] != "json_invalid":
        return None
    return ProblemError(HTTPStatus.BAD_REQUEST, "json-broken", "The body is not JSON", first["msg"])
