"""The macros of a user's SQL, a file each: a comment that says what it does, and one CREATE MACRO."""
