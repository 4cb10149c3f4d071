"""The resource ``/models``: what can be asked for."""

from flask import Blueprint, Response, jsonify

from api.catalog import ModelCatalog
from api.schemas import ModelList, ModelView, as_json


def create_blueprint(catalog: ModelCatalog) -> Blueprint:
    """Make the view of models."""
    models = Blueprint("models", __name__, url_prefix="/models")

    @models.get("")
    def index() -> Response:
        """List the models, the default first."""
        views = [
            ModelView.of(model, default=catalog.default) for model in catalog.models().values()
        ]
        views.sort(key=lambda view: (not view.default, view.name))
        return jsonify(as_json(ModelList(models=views)))

    return models
