#!/bin/sh
# Makes the data folder on the first start, then becomes the server. As root it gives the folder to the user first.
set -eu

case "${1:-}" in
  '' | -*) set -- postgres "$@" ;;
esac
[ "$1" = postgres ] || exec "$@"

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  find "$PGDATA" ! -user postgres -exec chown postgres '{}' +
  exec setpriv --reuid postgres --regid postgres --clear-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
  fi
  if [ -z "${POSTGRES_PASSWORD:-}" ]; then
    echo 'postgres: no password; set POSTGRES_PASSWORD_FILE to a file that holds one' >&2
    exit 1
  fi
  user=${POSTGRES_USER:-postgres}
  name=${POSTGRES_DB:-$user}
  # A start that was killed half way leaves its folder under another name, and the next one begins anew.
  making="$PGDATA/.making"
  rm -rf "$making"
  mkdir -m 700 "$making"
  echo "$POSTGRES_PASSWORD" > "$PGDATA/.password"
  initdb --pgdata "$making" --username "$user" --pwfile "$PGDATA/.password" --auth-host scram-sha-256 \
    --auth-local trust --encoding UTF8 >/dev/null
  rm -f "$PGDATA/.password"
  echo 'host all all all scram-sha-256' >> "$making/pg_hba.conf"
  echo "listen_addresses = '*'" >> "$making/postgresql.conf"
  if [ "$name" != postgres ]; then
    printf 'CREATE DATABASE "%s" OWNER "%s";\n' "$name" "$user" | postgres --single -D "$making" postgres >/dev/null
  fi
  chmod 700 "$PGDATA"
  # PG_VERSION last: it says that the folder is whole.
  find "$making" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv '{}' "$PGDATA" \;
  mv "$making/PG_VERSION" "$PGDATA"
  rmdir "$making"
fi
unset POSTGRES_PASSWORD
exec "$@"
