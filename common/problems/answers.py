"""The problem types that HTTP answers carry; failed jobs carry some of them too."""

from http import HTTPStatus
from typing import Final

from common.problems.types import HttpProblem, of_http

_AGAIN: Final = "try again after `Retry-After`"

IMAGE_EMPTY: Final = HttpProblem(
    name="image-empty",
    title="The image is empty",
    status=HTTPStatus.BAD_REQUEST,
    in_answers="send the bytes of the image; `curl -F image=@file`, not `image=file`",
)
QUERY_BROKEN: Final = HttpProblem(
    name="query-broken",
    title="The query is not valid",
    status=HTTPStatus.BAD_REQUEST,
    in_answers="percent-encode the query as UTF-8",
)
JSON_BROKEN: Final = HttpProblem(
    name="json-broken",
    title="The body is not JSON",
    status=HTTPStatus.BAD_REQUEST,
    in_answers="the body is not JSON, although its `Content-Type` says so",
)
JSON_TOO_LARGE: Final = HttpProblem(
    name="json-too-large",
    title="The JSON is too large",
    status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    in_answers="the JSON has more than `limit_bytes` besides the member `base64`",
)
BODY_TOO_LARGE: Final = HttpProblem(
    name="body-too-large",
    title="The request body is too large",
    status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    in_answers="the request is over `limit_bytes`, or would be once it is decompressed",
    from_nginx="the request is over `limit_bytes`",
)
FORM_BROKEN: Final = HttpProblem(
    name="form-broken",
    title="The form cannot be read",
    status=HTTPStatus.BAD_REQUEST,
    in_answers="the body is not valid `multipart/form-data`; the `detail` says why",
)
FORM_TOO_LARGE: Final = HttpProblem(
    name="form-too-large",
    title="The form is too large",
    status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    in_answers="too many parts, or the image was sent as a text field: send it as a file",
)
IMAGE_TOO_LARGE: Final = HttpProblem(
    name="image-too-large",
    title="The image is too large",
    status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    in_answers="the image is over `limit_bytes`; make it smaller",
)
IMAGE_UNREADABLE: Final = HttpProblem(
    name="image-unreadable",
    title="The image cannot be read",
    status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    in_answers="not an image, or in none of the `accepted` formats; the `detail` says what the "
    "bytes look like",
)
UNSUPPORTED_MEDIA_TYPE: Final = of_http(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    in_answers="send a form, `image/*`, or `application/json`",
)
CONTENT_ENCODING_UNSUPPORTED: Final = HttpProblem(
    name="content-encoding-unsupported",
    title="The content coding is not supported",
    status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    in_answers="send the body uncompressed, or compressed with gzip",
)
CONTENT_ENCODING_BROKEN: Final = HttpProblem(
    name="content-encoding-broken",
    title="The body cannot be decompressed",
    status=HTTPStatus.BAD_REQUEST,
    in_answers="the body is not one complete gzip member",
)
CONTENT_ENCODING_COSTLY: Final = HttpProblem(
    name="content-encoding-costly",
    title="The body takes too long to decompress",
    status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    in_answers="decompressing the body takes far more work than its size explains; send it "
    "uncompressed",
)
IMAGE_TOO_MANY_PIXELS: Final = HttpProblem(
    name="image-too-many-pixels",
    title="The image has too many pixels",
    status=HTTPStatus.UNPROCESSABLE_ENTITY,
    in_answers="scale it down to at most `limit_pixels`",
)
ONE_IMAGE_EXPECTED: Final = HttpProblem(
    name="one-image-expected",
    title="Exactly one image is expected",
    status=HTTPStatus.UNPROCESSABLE_ENTITY,
    in_answers="send exactly one file, in the field `image`",
)
BASE64_BROKEN: Final = HttpProblem(
    name="base64-broken",
    title="The image is not base64",
    status=HTTPStatus.UNPROCESSABLE_ENTITY,
    in_answers="the member `base64` cannot be decoded",
)
IDEMPOTENCY_KEY_BROKEN: Final = HttpProblem(
    name="idempotency-key-broken",
    title="The Idempotency-Key is not valid",
    status=HTTPStatus.BAD_REQUEST,
    in_answers="the key must be 1 to 255 visible ASCII characters",
)
IDEMPOTENCY_KEY_REUSED: Final = HttpProblem(
    name="idempotency-key-reused",
    title="The Idempotency-Key was used for another request",
    status=HTTPStatus.UNPROCESSABLE_ENTITY,
    in_answers="use a new key for a different request",
)
INVALID_FIELDS: Final = HttpProblem(
    name="invalid-fields",
    title="Some fields are not valid",
    status=HTTPStatus.UNPROCESSABLE_ENTITY,
    in_answers="`errors` names each field and what it may be; a field in both the query and the "
    "body must have the same value",
)
MODEL_UNKNOWN: Final = HttpProblem(
    name="model-unknown",
    title="There is no such model",
    status=HTTPStatus.UNPROCESSABLE_ENTITY,
    in_answers="`models` lists the available names",
)
JOB_NOT_FOUND: Final = HttpProblem(
    name="job-not-found",
    title="The job is unknown or expired",
    status=HTTPStatus.NOT_FOUND,
    in_answers="it was never accepted, it was deleted, or its retention period has expired",
)
JOB_NOT_FAILED: Final = HttpProblem(
    name="job-not-failed",
    title="Only a failed job can be retried",
    status=HTTPStatus.CONFLICT,
    in_answers="only a failed job can be retried",
)
JOB_UNREADABLE: Final = HttpProblem(
    name="job-unreadable",
    title="The record of the job cannot be read",
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    in_answers="the job exists, but this version cannot read its record: a later version wrote "
    f"it, or it is damaged. Nothing was changed; {_AGAIN}, once the later version runs",
)
REQUEST_EXPIRED: Final = HttpProblem(
    name="request-expired",
    title="The request waited too long",
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    in_answers="the service was too busy to handle the request before nginx gave up; nothing was "
    f"changed; {_AGAIN}",
)
JOB_BUSY: Final = HttpProblem(
    name="job-busy",
    title="The job keeps changing state",
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    in_answers=f"the job kept changing while it was being cancelled; {_AGAIN}",
)
MODEL_UNAVAILABLE: Final = HttpProblem(
    name="model-unavailable",
    title="The model is unavailable",
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    in_answers="the `detail` says why; it may be available after `Retry-After`",
    in_jobs="the consumer does not serve the model",
)
STORAGE_FULL: Final = HttpProblem(
    name="storage-full",
    title="The storage is full",
    # Not 507: RFC 4918 forbids repeating a request that was answered with it.
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    in_answers="a disk is full, or `DARKROOM_MAX_STORED_BYTES` is reached; nothing was changed; "
    f"{_AGAIN}, or delete jobs",
    from_nginx=f"nginx could not write the body to its disk; {_AGAIN}",
)
STORE_UNAVAILABLE: Final = HttpProblem(
    name="store-unavailable",
    title="The store is unavailable",
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    in_answers=f"the database does not answer; {_AGAIN}; repeat a submission with its "
    "`Idempotency-Key`",
)
STORE_REFUSED: Final = HttpProblem(
    name="store-refused",
    title="The store refused",
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    in_answers="the database refused the operation, or does not permit it; the log of the "
    "service has the reason",
    in_jobs="MongoDB refused to store the result, or to return the image; the `detail` has its "
    "message",
)
NOT_READY: Final = HttpProblem(
    name="not-ready",
    title="The service is not ready",
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    in_answers="only from `/readyz`: `checks` says what is wrong and what to do; "
    "[operations.md](operations.md#ready-or-not) has more",
)
INTERNAL_SERVER_ERROR: Final = of_http(
    HTTPStatus.INTERNAL_SERVER_ERROR, in_answers="an error in the service; its log has details"
)

BAD_REQUEST: Final = of_http(HTTPStatus.BAD_REQUEST, from_nginx="the request is not valid HTTP")
NOT_FOUND: Final = of_http(HTTPStatus.NOT_FOUND, from_nginx="there is nothing at this address")
METHOD_NOT_ALLOWED: Final = of_http(
    HTTPStatus.METHOD_NOT_ALLOWED, from_nginx="nginx does not accept this method"
)
REQUEST_TIMEOUT: Final = of_http(
    HTTPStatus.REQUEST_TIMEOUT, from_nginx="the request did not arrive in time"
)
LENGTH_REQUIRED: Final = of_http(
    HTTPStatus.LENGTH_REQUIRED, from_nginx="the request needs a `Content-Length`"
)
URI_TOO_LONG: Final = HttpProblem(
    name="uri-too-long",
    title="URI Too Long",
    status=HTTPStatus.REQUEST_URI_TOO_LONG,
    from_nginx="a request line may have at most 8 KiB",
)
TOO_MANY_REQUESTS: Final = of_http(
    HTTPStatus.TOO_MANY_REQUESTS,
    from_nginx=f"one address may send `DARKROOM_RATE_LIMIT` requests per second; {_AGAIN}",
)
TOO_MANY_CONNECTIONS: Final = HttpProblem(
    name="too-many-connections",
    title="Too Many Connections",
    status=HTTPStatus.TOO_MANY_REQUESTS,
    from_nginx="one address may have `DARKROOM_CONNECTION_LIMIT` open requests at once; wait "
    "for some of them to end",
)
HEADER_TOO_LARGE: Final = HttpProblem(
    name="header-too-large",
    title="Request Header Fields Too Large",
    status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    from_nginx="each header may have at most 8 KiB, all together 32 KiB; at most 1000 headers",
)
NOT_IMPLEMENTED: Final = of_http(
    HTTPStatus.NOT_IMPLEMENTED, from_nginx="nginx does not support this transfer coding"
)
HTTP_VERSION_NOT_SUPPORTED: Final = of_http(
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, from_nginx="send the request as HTTP/1.1"
)
API_UNAVAILABLE: Final = HttpProblem(
    name="api-unavailable",
    title="The API does not answer",
    status=HTTPStatus.SERVICE_UNAVAILABLE,
    from_nginx=f"the API does not answer; {_AGAIN}",
)
