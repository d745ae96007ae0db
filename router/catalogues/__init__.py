"""Bundled provider catalogues, one YAML file each."""
