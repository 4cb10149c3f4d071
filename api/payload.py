"""The three forms in which a submission may come: multipart, raw body, JSON."""

from dataclasses import dataclass
from http import HTTPStatus

from flask import Request
from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from api.problems import ProblemError, invalid_fields
from api.schemas import FormOptions, JobOptions, JsonSubmission


@dataclass(frozen=True, slots=True)
class Payload:
    """The image as it came, and what was asked for."""

    image: bytes
    source: str
    options: JobOptions


def read_payload(request: Request) -> Payload:
    """Read a submission in whichever form the request has.

    Raises:
        ProblemError: 400, 415 or 422, with what is wrong.
    """
    if request.mimetype == "multipart/form-data":
        return _from_multipart(request)
    if request.mimetype == "application/json":
        return _from_json(request)
    if request.mimetype.startswith("image/") or request.mimetype == "application/octet-stream":
        return Payload(request.get_data(cache=False), "body", _form_options(request.args))
    raise ProblemError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "Unsupported Media Type",
        f"The body is declared as {request.mimetype or 'nothing'}. Send the image as the field "
        "`image` of multipart/form-data, as a body of type image/*, or as application/json "
        "with the member `base64`.",
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


def _form_options(fields: MultiDict[str, str]) -> FormOptions:
    # A field that is left empty in a form means the default.
    given = {name: value for name, value in fields.items() if value != ""}
    try:
        return FormOptions.model_validate(given)
    except ValidationError as exc:
        raise invalid_fields(exc) from exc


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
    return Payload(image, "base64", submission)


def _not_json(error: ValidationError) -> ProblemError | None:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] != "json_invalid":
        return None
    return ProblemError(HTTPStatus.BAD_REQUEST, "json-broken", "The body is not JSON", first["msg"])
