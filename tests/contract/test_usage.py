"""Every server reports the size of the database; mongomock does not."""

import os

import pytest

from common.mongo.usage import MongoUsage
from tests.contract.conftest import SERVERS, StoreUnderTest

IMAGE_BYTES = 200_000


@pytest.fixture
def usage(mongo: StoreUnderTest) -> MongoUsage:
    mongo.database["images"].create_index("stored_ms", sparse=True)
    return MongoUsage(mongo.database)


@pytest.mark.parametrize("mongo", SERVERS, indirect=True)
def test_what_is_stored_counts_and_what_is_deleted_does_not(
    mongo: StoreUnderTest, usage: MongoUsage
) -> None:
    images = mongo.database["images"]
    empty = usage.measure()

    images.insert_one({"_id": "a", "bytes": os.urandom(IMAGE_BYTES)})
    stored = usage.measure()
    images.delete_one({"_id": "a"})
    deleted = usage.measure()

    # nx-27017 keeps bytes as base64.
    assert IMAGE_BYTES <= stored.used_bytes - empty.used_bytes <= IMAGE_BYTES * 3 // 2
    assert deleted.used_bytes <= empty.used_bytes + IMAGE_BYTES // 10


# MongoDB frees space in its files with its next checkpoint only.
@pytest.mark.parametrize("mongo", ["nx-27017"], indirect=True)
def test_what_is_deleted_makes_space_for_others(mongo: StoreUnderTest, usage: MongoUsage) -> None:
    images = mongo.database["images"]
    images.insert_one({"_id": "a", "bytes": os.urandom(IMAGE_BYTES)})

    images.delete_one({"_id": "a"})

    assert usage.measure().reusable_bytes >= IMAGE_BYTES
