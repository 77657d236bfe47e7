#!/bin/sh
# In the first start of compose.yaml's Postgres, after roles.sql: the passwords of the two roles, by standard
# input, so that no list of processes shows them.
set -eu
for role in owner app; do
  printf '\\set password %s\nalter role ringdown_%s password :%s;\n' \
    "$(cat "/run/secrets/${role}_password")" "$role" "'password'"
done | psql -v ON_ERROR_STOP=1 -U postgres -d ringdown -q
