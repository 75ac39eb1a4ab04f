# What deploy/setup, deploy/backup and deploy/restore share; read by them, in the folder of docker-compose.yml.

fail() { echo "deploy/$program: $*" >&2; exit 1; }
warn() { echo "deploy/$program: note: $*" >&2; }

# The file that Compose reads variables from; deploy/restore reads that of the backup where there is none yet.
dotenv=.env
asked="COMPOSE_FILE COMPOSE_PROJECT_NAME VIGIL_BUNDLES VIGIL_CERTIFICATES VIGIL_IMAGE VIGIL_ROUTES VIGIL_SECRETS VIGIL_SETTINGS \
VIGIL_TORCH VIGIL_WEB_ADDRESS"

# line_of NAME: what the lines of .env that set it begin with.
line_of() { printf %s "^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$1[[:space:]]*="; }

# written NAME: what stands behind it in .env; the last line counts.
written() { [ ! -e "$dotenv" ] || tr -d '\r' < "$dotenv" | sed -n "s/$(line_of "$1")[[:space:]]*/ /p" | tail -n 1; }

# value NAME: what .env says, as Compose reads it: without quotes, blanks around it and a comment behind it.
value() {
    written "$1" | sed -e 's/^ "\([^"]*\)".*/\1/' -e t -e "s/^ '\([^']*\)'.*/\1/" -e t \
        -e 's/[[:space:]]#.*//' -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//'
}

# understood: fails where .env says what Compose fills in or unescapes, and these programs do not.
understood() {
    for name in $asked; do
        ! printenv "$name" >/dev/null || continue
        case "$(written "$name")" in
            " '"*) ;;
            *'$'* | ' "'*\\*) fail "$name in $dotenv has \$ or \\ in it, which is not filled in here; write the value itself" ;;
        esac
    done
}

# setting NAME DEFAULT: as Compose reads it, the environment before .env.
setting() {
    if printenv "$1" >/dev/null; then found=$(printenv "$1"); else found=$(value "$1"); fi
    found=${found:-$2}
    printf %s "${found#./}"
}

# The project whose containers and volumes are meant; without a name Compose calls it by its folder.
project() {
    named=$(setting COMPOSE_PROJECT_NAME '')
    printf %s "${named:-$(basename "$PWD" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9_-')}"
}

# Docker answers; $compose is Compose, the plugin or the older program.
find_compose() {
    command -v docker >/dev/null || fail "docker is missing; install Docker Engine with Compose, then call this again"
    docker info >/dev/null 2>&1 ||
        fail "the Docker engine does not answer; start it, or let this user talk to it (group docker), then call this again"
    if docker compose version >/dev/null 2>&1; then
        compose='docker compose'
    elif command -v docker-compose >/dev/null; then
        compose=docker-compose
    else
        fail "Compose is missing; install docker-compose-plugin, then call this again"
    fi
}

# running SERVICE: ids of its containers that run.
running() {
    docker ps --quiet --filter "label=com.docker.compose.project=$(project)" \
        --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False
}

# our_image: the image is there, or is built now; Compose asks a registry for it where a single service is run.
our_image() {
    image=$(setting VIGIL_IMAGE vigil:latest)
    ! docker image inspect "$image" >/dev/null 2>&1 || return 0
    if [ -e "$dotenv" ]; then set -- --env-file "$dotenv"; else set --; fi
    $compose "$@" --file docker-compose.yml build migrate >&2 || fail "the image $image is missing and was not built; see above"
}

# with_database MOUNT COMMAND...: the app's COMMAND on a mounted folder, in a container of its own, while the function
# `at_the_database` runs its program in the container of the database, at the time that the app says by opening a pipe.
with_database() {
    mount=$1
    shift
    work=$(mktemp -d) && mkdir "$work/pipe" && mkfifo "$work/pipe/database" && chmod 755 "$work/pipe" &&
        chmod 644 "$work/pipe/database" || fail "no named pipe can be made in ${TMPDIR:-/tmp}; set TMPDIR to a folder on a local disk"
    # Opening the pipe waits until the app has opened it, too.
    (
        exec 3> "$work/pipe/database"
        echo begun >&3
        if at_the_database 3>&-; then echo done >&3; fi
    ) &
    helper=$!
    trap 'kill "$helper" 2>/dev/null || true; rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM HUP
    $compose run --rm --no-deps -T --volume "$mount" --volume "$work/pipe:/pipe:ro" worker "$@" \
        --database-through /pipe/database --config /etc/vigil/vigil.yaml < /dev/null
}

# What takes every table away, also those of a newer version, of which a backup knows nothing: as app/backup_database.py.
empty_database="SET client_min_messages = warning;
SET lock_timeout = '60s';
DROP SCHEMA IF EXISTS dbos CASCADE;
DROP SCHEMA IF EXISTS public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
COMMENT ON SCHEMA public IS 'standard public schema';
"

# replacing_database: a script for where the database is; $1: the SQL that empties it, standard input: a dump. All in one
# transaction, which is committed only after pg_restore has ended well, and whose last word is looked for.
replacing_database() {
    cat <<'END'
said=$({ echo 'BEGIN;'; printf '%s\n' "$1"; pg_restore --no-owner --file=- && printf '%s\n' 'COMMIT;' '\echo restored'; } |
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=vigil --dbname=vigil | tail -n 1)
[ "$said" = restored ]
END
}
