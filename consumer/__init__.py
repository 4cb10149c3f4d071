"""The role that classifies: deliveries in, acks out."""
