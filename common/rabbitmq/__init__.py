"""The exchange, the queue and the publisher in RabbitMQ."""
