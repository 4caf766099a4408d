"""The known models, as data: one TOML file per kind, one strict reader, one registry per kind."""
