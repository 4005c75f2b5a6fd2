"""Views: NAME.sql is the SELECT that one sees as NAME."""
