"""The view of models."""

from flask import Blueprint, Response, jsonify

from api.models.catalog import ModelCatalog
from api.models.schemas import ModelList, ModelView
from api.schemas import as_json


def create_models(catalog: ModelCatalog) -> Blueprint:
    """Make the resource."""
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
