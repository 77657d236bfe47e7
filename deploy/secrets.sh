#!/bin/sh
# Makes the secrets of compose.yaml in ./secrets, once: what is there is kept. A secret is readable in its
# container whatever user runs there; on this machine the folder keeps others out.
set -eu
cd "$(dirname "$0")"
mkdir -p -m 700 secrets
put() { # NAME VALUE
  [ -e "secrets/$1" ] || (umask 022 && printf '%s\n' "$2" >"secrets/$1")
}
put jwt_secret "$(openssl rand -base64 48)"
put turn_secret "$(openssl rand -hex 32)"
for name in postgres_password owner_password app_password redis_password; do
  put "$name" "$(openssl rand -hex 24)"
done
put database_url "postgres://ringdown_app:$(cat secrets/app_password)@postgres:5432/ringdown"
put database_owner_url "postgres://ringdown_owner:$(cat secrets/owner_password)@postgres:5432/ringdown"
put redis_url "redis://:$(cat secrets/redis_password)@redis:6379"
