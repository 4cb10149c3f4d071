"""In a valid form, our parser finds the parts that werkzeug's parser finds."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.formparser import MultiPartParser
from werkzeug.test import TestResponse

from api.jobs.payload.form import MAX_PARTS, MAX_TEXT_BYTES, find_parts
from tests.examples import an_image
from tests.service import Api

IMAGE = an_image()
LINE_ENDS = st.sampled_from([b"\r\n", b"\n", b"\r"])
# Clients choose a boundary that does not occur in the file.
CONTENTS = st.lists(
    st.sampled_from([b"\r\n", b"\n", b"\r", b"-", b"--", b"x", b"--x", b"\r\n--", b"\0\xff", b"a"])
).map(b"".join)
NAMES = st.sampled_from([b"image", b"a b", "ä".encode(), b"%22", b'\\"', b""])
SECONDS = st.sampled_from([b"", b"Content-Type: text/plain; charset=iso-8859-1", b"X-Y: 1\r\n z"])

Found = list[tuple[str, bool, bytes]]


def found_by_werkzeug(body: bytes, boundary: bytes) -> Found:
    parser = MultiPartParser(stream_factory=lambda **_: BytesIO())  # type: ignore[arg-type]
    form, files = parser.parse(BytesIO(body), boundary, len(body))
    texts = [(name, False, value.encode()) for name, value in form.items(multi=True)]
    return by_name(texts + [(name, True, file.read()) for name, file in files.items(multi=True)])


def found_here(body: bytes, boundary: bytes) -> Found:
    found = [
        (
            part.name,
            part.is_file,
            body[part.start : part.end]
            if part.is_file
            else body[part.start : part.end].decode(part.charset, "replace").encode(),
        )
        for part in find_parts(body, boundary.decode())
    ]
    return by_name(found)


def by_name(found: Found) -> Found:
    """Sort them as werkzeug's dictionaries do, which keep no order between names."""
    return sorted(found, key=lambda one: one[:2])


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, bytes]:
    end = draw(LINE_ENDS)
    boundary = draw(st.sampled_from([b"xyz", b"--xyz", b"----WebKitFormBoundaryAZ09"]))
    body = draw(st.sampled_from([b"", b"\r\n", b"preamble\r\n"]))
    for _ in range(draw(st.integers(1, 4))):
        file_name = draw(
            st.sampled_from([b"", b'; filename="a"', b"; filename=a", b'; filename=""'])
        )
        lines = [
            b'Content-Disposition: form-data; name="%b"%b' % (draw(NAMES), file_name),
            *filter(None, [draw(SECONDS)]),
        ]
        blanks = draw(st.sampled_from([b"", b" ", b"\t"]))
        body += b"--" + boundary + blanks + end + end.join(lines) + end + end
        # With half a CRLF it is ambiguous which part a line break belongs to.
        body += (draw(CONTENTS) if end == b"\r\n" else b"--x \xff") + end
    return body + b"--" + boundary + b"--" + draw(
        st.sampled_from([b"", b"\r\n", b"epilogue"])
    ), boundary


@given(forms())
def test_a_form_has_the_parts_that_werkzeug_finds(form: tuple[bytes, bytes]) -> None:
    body, boundary = form

    assert found_here(body, boundary) == found_by_werkzeug(body, boundary)


@given(st.binary(), st.sampled_from(["x", "", "-", "x" * 300]))
def test_any_bytes_are_a_form_or_an_error_of_the_client(content: bytes, boundary: str) -> None:
    response = send(API, f"--{boundary}".encode() + content, boundary)

    assert response.status_code == 202 or 400 <= response.status_code < 500


def send(api: Api, body: bytes, boundary: str = "x") -> TestResponse:
    return api.submit_body(body, f"multipart/form-data; boundary={boundary}")


def part(name: str, content: bytes, file_name: str = "") -> bytes:
    file = f'; filename="{file_name}"' if file_name else ""
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


FILE = part("image", IMAGE, "a.png")
END = b"--x--\r\n"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(IMAGE, "boundary", id="an image"),
        pytest.param(b"\r\n", "boundary", id="nothing"),
        pytest.param(FILE, "ends before", id="no end"),
        pytest.param(FILE[:-20], "ends before", id="cut off"),
        pytest.param(b"--x\r\n\r\na\r\n" + END, "Content-Disposition", id="no header"),
        pytest.param(b"--x\r\n" + b"a: b\r\n" * 1000 + FILE + END, "blank line", id="long header"),
        pytest.param(b"--x\r\nno blank line\r\n" + END, "blank line", id="no blank line"),
        pytest.param(part("image", b"--xy" * 1100, "a") + END, "look like", id="look-alikes"),
    ],
)
def test_a_form_that_is_none_is_refused_with_the_reason(api: Api, body: bytes, reason: str) -> None:
    response = send(api, body)

    assert response.status_code == 400
    assert b"urn:darkroom:problem:form-broken" in response.data
    assert reason in response.text


def test_a_form_whose_type_names_no_boundary_is_refused(api: Api) -> None:
    response = api.submit_body(FILE + END, "multipart/form-data")

    assert response.status_code == 400
    assert "boundary" in response.text


def test_a_form_may_have_twenty_parts_and_no_more(api: Api) -> None:
    fields = part("metadata", b"") * (MAX_PARTS - 1)

    assert send(api, fields.replace(b"metadata", b"model", 1) + FILE + END).status_code == 202
    refused = send(api, fields + part("model", b"") + FILE + END)
    assert refused.status_code == 413
    assert "form-too-large" in refused.text


def test_a_form_may_have_little_text(api: Api) -> None:
    fits, exceeds = (
        send(api, part("metadata", b" " * (size - 2) + b"{}") + FILE + END)
        for size in (MAX_TEXT_BYTES, MAX_TEXT_BYTES + 1)
    )

    assert fits.status_code == 202
    assert exceeds.status_code == 413
    assert "form-too-large" in exceeds.text


def test_a_file_without_the_name_of_a_field_is_told_so(api: Api) -> None:
    response = send(api, FILE.replace(b'name="image"; ', b"") + END)

    assert response.status_code == 422
    assert "one-image-expected" in response.text


def test_a_file_name_that_is_no_text_is_no_reason_to_refuse(api: Api) -> None:
    assert send(api, FILE.replace(b"a.png", b"\xff.png") + END).status_code == 202


# Hypothesis calls a test many times, but its fixtures only once.
API = Api()
