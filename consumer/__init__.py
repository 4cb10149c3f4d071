"""The classifying role: deliveries in, acks out."""
