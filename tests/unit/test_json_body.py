"""Taking the image out before JSON is parsed gives the same result as parsing all of it."""

import json
from base64 import b64decode, b64encode
from io import BytesIO
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.jobs.payload import body, json_body
from api.jobs.payload.base64_text import decoded
from api.jobs.payload.json_body import read_submission
from api.jobs.schemas import JsonSubmission
from api.problems import ProblemError

OTHER_BYTES = 60
Result = tuple[bytes, dict[str, object]]


def plainly(document: bytes) -> Result | None:
    """Parse all of *document*, and then decode its image; None if that is refused."""
    try:
        submission = JsonSubmission.model_validate_json(document, strict=True)
        image = decoded_as_a_whole(submission.base64)
    except ValueError:
        return None
    return image, submission.options().model_dump(exclude_unset=True)


def decoded_as_a_whole(text: str) -> bytes:
    if text[:5].lower() == "data:":
        head, comma, content = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise ValueError
        text = unquote(content)
    digits = text.encode().translate(bytes.maketrans(b"-_", b"+/"), b" \t\r\n").rstrip(b"=")
    return b64decode(digits + b"=" * (-len(digits) % 4), validate=True)


def in_pieces(document: bytes, other_bytes: int) -> Result | None:
    try:
        image, options = read_submission(BytesIO(document), max_other_bytes=other_bytes)
    except ProblemError:
        return None
    return image, options.model_dump(exclude_unset=True)


def escaped(text: str, which: int) -> str:
    """Write *text* as a JSON string in which each *which*-th character is escaped."""
    return "".join(
        f"\\u{ord(one):04x}" if which and place % which == 0 else json.dumps(one)[1:-1]
        for place, one in enumerate(text)
    )


# Base64 as clients write it, as they might, and as nobody should.
TEXTS = st.binary(max_size=300).map(lambda image: b64encode(image).decode()) | st.text(
    'AZaz09+/-_= \n\t%2Bb\\"é\U0001f600', max_size=100
)
HEADS = st.sampled_from(["", "data:;base64,", 'DATA:image/png;name="a\\\\b";BASE64,', "data:,"])
MEMBERS = st.sampled_from(
    [
        '"top_k": 3',
        '"model": "digits"',
        '"metadata": {"base64": "AAAA"}',
        '"metadata": {"a": "\\"base64\\": \\""}',
        '"base64": "AAAA"',
        '"base64": null',
        '"x": 1',
        '"metadata": {}',
    ]
)
NAMES = st.sampled_from(['"base64"', '"b\\u0061se64"', '"\\u0062\\u0061\\u0073\\u0065\\u00364"'])


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    text = escaped(draw(HEADS) + draw(TEXTS), draw(st.integers(0, 4)))
    member = f'{draw(NAMES)}{draw(st.sampled_from([":", " : "]))}"{text}"'
    members = [*draw(st.lists(MEMBERS, max_size=2)), member, *draw(st.lists(MEMBERS, max_size=1))]
    return f"{{{', '.join(members)}}}{draw(st.sampled_from(['', ' ', ']', chr(0)]))}".encode()


@given(documents(), st.integers(16, 80))
def test_what_is_accepted_is_what_parsing_all_of_it_gives(document: bytes, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_body, "PIECE_BYTES", piece)
        found = in_pieces(document, OTHER_BYTES)

    assert found is None or found == plainly(document)


@given(documents())
def test_a_small_body_is_accepted_just_when_parsing_it_is(document: bytes) -> None:
    assert in_pieces(document, len(document)) == plainly(document)


@given(st.binary(min_size=90, max_size=3000), st.integers(0, 4), NAMES, st.booleans())
def test_a_large_text_is_accepted_however_it_is_escaped(
    image: bytes, which: int, name: str, is_first: bool
) -> None:
    text = escaped(b64encode(image).decode(), which)
    members = ['"top_k": 3', f'{name}: "{text}"']
    document = f"{{{', '.join(reversed(members) if is_first else members)}}}".encode()

    assert in_pieces(document, OTHER_BYTES + 20) == plainly(document) == (image, {"top_k": 3})


@given(TEXTS, st.integers(1, 50), st.sampled_from(["", "data:;base64,"]))
def test_base64_in_pieces_is_what_it_is_as_a_whole(text: str, size: int, head: str) -> None:
    content = text.encode()
    pieces = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    try:
        whole = decoded_as_a_whole(head + text)
    except ValueError:
        with pytest.raises(ValueError, match=r"^(It|The data: URL) "):
            b"".join(decoded([head.encode() + pieces[0], *pieces[1:]]))
    else:
        assert b"".join(decoded([head.encode() + pieces[0], *pieces[1:]])) == whole


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=9), st.data())
def test_a_body_gives_way_to_what_is_made_of_it(pieces: list[bytes], data: st.DataObject) -> None:
    content = BytesIO(b"".join(pieces))
    end = data.draw(st.integers(0, len(content.getvalue())))
    start = data.draw(st.integers(0, end))

    assert body.rewrite(BytesIO(content.getvalue()), lambda _: iter(pieces)) == b"".join(pieces)
    assert body.cut_out(content, start, end) == b"".join(pieces)[start:end]


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b'{"metadata": {"base64": "%b"}, "base64": "AAAA"}', id="in an object"),
        pytest.param(b'{"base64": "%b", "base64": "AAAA"}', id="of which another counts"),
        pytest.param(b'{"image": "%b"}', id="under another name"),
        pytest.param(b'{"base64": "AAAA"%b', id="none"),
    ],
)
def test_a_large_text_that_is_not_the_images_is_too_large(document: bytes) -> None:
    with pytest.raises(ProblemError) as refused:
        read_submission(BytesIO(document % (b"A" * json_body.MAX_OTHER_BYTES)))

    assert refused.value.status == 413
    assert refused.value.document["type"] == "urn:darkroom:problem:json-too-large"
    assert refused.value.document["limit_bytes"] == json_body.MAX_OTHER_BYTES
