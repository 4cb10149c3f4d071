"""What the roles ask of the outside world, in their own words; a module a use."""
