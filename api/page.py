"""The web page: submit an image, see what is in it."""

from pathlib import Path

from flask import Blueprint, Response

_FOLDER = Path(__file__).parent / "static"

# Everything the page needs comes from here, and it talks to nobody else: no script or style
# in the markup, nothing in a frame. Previews of the chosen images are blobs.
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


def create_blueprint() -> Blueprint:
    """Make the page and its files."""
    page = Blueprint("page", __name__, static_folder=_FOLDER, static_url_path="/static")

    @page.get("/")
    def show() -> Response:
        """Show the page."""
        return page.send_static_file("index.html")

    @page.after_request
    def restrict(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    return page
