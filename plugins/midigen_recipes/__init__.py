"""Recipes that come with the project: a TOML file each, as `midigen.recipes` reads them."""
