"""What a key, a server, a model, an account, a token and the settings are: each described once.

A `types.field` can be set from outside: `convert.read` checks it for forms, REST, command
line and imports, and forms, options and the OpenAPI document are built from it. Others are the
gateway's own.
"""
