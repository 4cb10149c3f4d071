#!/usr/bin/env bash
# The commands of the project. It also runs under bash 3.2, which macOS has.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly CALLED_FROM=$OLDPWD
readonly VENV=.venv
readonly CPU_TORCH=https://download.pytorch.org/whl/cpu

usage() {
  cat <<'END'
./start.sh [-d]              start the system on this machine; Ctrl-C stops it
                             (-d, --detach: return when it is ready, and leave it running)
./start.sh stop              stop it
./start.sh status [--json]   address, readiness, models, waiting jobs, and programs
./start.sh logs [ROLE] [-f]  the last log lines of the api, the consumers and the courier, of
                             ROLE, or of `all`; -f follows them
./start.sh compose [ARGS]    build and start the system in containers, with new passwords in .env;
                             with ARGS: `docker compose ARGS`; see docs/deployment.md
./start.sh model fetch [NAME]...
                             download and export DARKROOM_MODELS, or the named models
./start.sh model quantize NAME --calibrate FOLDER --evaluate FOLDER [--to int8|bf16] [--force]
                             make a version of NAME that computes in fewer bits, and report its
                             speed and accuracy; see docs/your-model.md and `model quantize --help`
./start.sh test [ARGS]       lint, types and all tests; with ARGS: only `pytest ARGS`
./start.sh drill [NAME]...   break a throwaway copy of the system and check every job; see
                             docs/reliability.md and `./start.sh drill --help`
./start.sh bench [PART]      measure a throwaway copy of the system; writes JSON and tables; see
                             docs/performance.md and `./start.sh bench --help`
./start.sh api|consumer|courier
                             run one role in the foreground, as containers do
./start.sh healthy api|consumer|courier
                             check that the role in this container works
Settings are environment variables named DARKROOM_*; README.md lists them.
END
}

main() {
  local verb=${1:-up}
  case $verb in
    up | -d | --detach | --foreground) start_everything "$@" ;;
    stop | status | logs) ask_the_running_system "$@" ;;
    model) work_on_models "${@:2}" ;;
    test) run_tests "${@:2}" ;;
    drill) run_drills "${@:2}" ;;
    bench) run_benchmarks "${@:2}" ;;
    compose) use_compose "${@:2}" ;;
    api | consumer | courier) run_role "$verb" ;;
    healthy) look_at_role "${2:-}" ;;
    help | -h | --help) usage ;;
    *)
      say "there is no command '$verb'. The commands are:"
      usage >&2
      exit 2
      ;;
  esac
}

start_everything() {
  [ "${1:-}" != up ] || shift
  install_servers
  install_python_packages run
  exec "$VENV/bin/python" -m standalone up "$@"
}

ask_the_running_system() {
  if [ -x "$VENV/bin/python" ]; then
    exec "$VENV/bin/python" -m standalone "$@"
  fi
  case $* in
    "status --json") echo '{"running": false, "ready": false, "roles": {}}' ;;
    *) echo "Darkroom is not running in this folder." ;;
  esac
  [ "$1" = stop ] || exit 3
}

run_role() {
  need_python_packages
  export DARKROOM_API_BIND=${DARKROOM_API_BIND:-127.0.0.1:8081}
  case $1 in
    api) exec uwsgi --ini uwsgi.ini ;;
    *) exec python3 -m "$1" ;;
  esac
}

# The api must answer; consumer and courier must have touched their pulse file recently.
look_at_role() {
  case $1 in
    api)
      exec python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' \
        "http://${DARKROOM_API_HEALTH_BIND:?is not set}/healthz"
      ;;
    consumer | courier)
      [ -n "$(find "${DARKROOM_PULSE_FILE:?is not set}" -newermt '-30 seconds')" ]
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
}

work_on_models() {
  case ${1:-} in
    quantize) use_venv quantize ;;
    *) need_python_packages ;;
  esac
  # Like the rest of the state; in a container other users must read what the build wrote.
  if [ -x "$VENV/bin/python" ]; then umask 077; fi
  exec python3 -m modeltools --relative-to "$CALLED_FROM" "$@"
}

run_tests() {
  unset PYTHONDONTWRITEBYTECODE # or every process would compile the code again
  local checked_s tested_s installed_s compiling status=0
  install_servers
  install_browser
  if [ $# -eq 0 ]; then
    make_venv
    build_images_meanwhile
  fi
  install_python_packages test
  PATH=$PWD/$VENV/bin:$PATH
  if [ $# -gt 0 ]; then exec python -m pytest "$@"; fi

  installed_s=$SECONDS
  # This compiles the tests. Else each of their processes would, at the same time.
  python -m pytest --collect-only -qq >/dev/null 2>&1 &
  compiling=$!
  ruff check
  ruff format --check
  mypy
  shellcheck start.sh .ci/run nginx/start docker/install tests/compose/run
  codespell
  wait "$compiling" || true
  checked_s=$((SECONDS - installed_s))
  # tests/conftest.py says how many run side by side, and in which order. The drills are named,
  # too, or the process that reports would not know their table.
  python -m pytest -n auto --no-loadscope-reorder tests tests/drills || status=$?
  tested_s=$((SECONDS - installed_s - checked_s))
  say "seconds: installing $installed_s, lint and types $checked_s, tests $tested_s"
  return "$status"
}

# pip leaves a core idle. Not while apt installs, since this may install an engine with apt, too.
# The tests in containers wait for it. Without an engine they say what is missing.
build_images_meanwhile() {
  ENGINE=$(mktemp)
  trap stop_docker EXIT
  "$VENV/bin/python" -m tests.compose.prepare >"$ENGINE" 2>/dev/null &
  IMAGES=$!
}

# Stop the Docker engine, if building the images has started one.
stop_docker() {
  local engine
  wait "$IMAGES" || true
  engine=$(cat "$ENGINE")
  rm -f "$ENGINE"
  if [ -n "$engine" ]; then as_root kill "$engine" || true; fi
}

# Names come first; tests/drills/conftest.py and pytest define the options.
run_drills() {
  local pytest=("$VENV/bin/python" -m pytest tests/drills --no-header)
  install_servers
  install_python_packages test
  PATH=$PWD/$VENV/bin:$PATH
  case ${1:-} in
    -h | --help)
      "${pytest[@]}" --help | sed -n '/^drills/,/^$/p'
      return
      ;;
  esac
  pytest+=(--long --no-loadscope-reorder)
  while [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; do
    pytest+=(--drill "$1")
    shift
  done
  exec "${pytest[@]}" "$@"
}

run_benchmarks() {
  install_servers
  install_python_packages bench
  PATH=$PWD/$VENV/bin:$PATH exec "$VENV/bin/python" -m benchmarks "$@"
}

# The system in containers.

use_compose() {
  need_compose
  write_passwords .env
  if [ $# -eq 0 ]; then
    compose up --build --detach
    say "starting; ./start.sh compose ps shows when everything is healthy"
    return
  fi
  compose "$@"
}

need_compose() {
  if ! has_compose_plugin && ! has docker-compose; then
    die "Docker Compose is missing: install Docker with its compose plugin, or docker-compose 1.29"
  fi
}

compose() {
  if has_compose_plugin; then
    docker compose "$@"
  else
    docker-compose "$@"
  fi
}

has_compose_plugin() { docker compose version >/dev/null 2>&1; }

# Adds only the missing ones: the file may already hold settings.
write_passwords() {
  local file=$1 name content=''
  if [ -e "$file" ]; then content=$(cat "$file"); fi
  for name in DARKROOM_RABBITMQ_PASSWORD DARKROOM_MONGO_PASSWORD; do
    if grep -q "^$name=" <<<"$content"; then continue; fi
    content="$content${content:+
}$name=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
  done
  if [ -e "$file" ] && [ "$content" = "$(cat "$file")" ]; then return; fi
  (
    umask 077
    echo "$content" >"$file"
    chmod 600 "$file"
  )
  say "wrote passwords for RabbitMQ and MongoDB to $file; keep it: the data cannot be read without them"
}

# Installation.

# The images contain the packages, so a container installs nothing.
need_python_packages() {
  if [ ! -x "$VENV/bin/python" ] && python3 -c 'import pika, pydantic_settings, pymongo' 2>/dev/null; then
    return
  fi
  use_venv run
}

use_venv() {
  install_python_packages "$1"
  PATH=$PWD/$VENV/bin:$PATH
}

install_servers() {
  local missing=()
  if [ -z "${DARKROOM_AMQP_URL:-}" ] && ! has_rabbitmq; then missing+=(rabbitmq-server); fi
  if ! has nginx; then missing+=(nginx); fi
  if [ ${#missing[@]} -eq 0 ]; then return; fi

  if has apt-get; then
    local services=("${missing[@]}")
    if ! has epmd; then services+=(epmd.socket epmd.service); fi
    apt_install "${missing[@]}" || die "${missing[*]} could not be installed"
    keep_from_starting_at_boot "${services[@]}"
  elif has brew; then
    say "installing ${missing[*]} with brew; their services are not started"
    brew install --quiet "${missing[@]/rabbitmq-server/rabbitmq}"
  else
    die "install ${missing[*]} with this system's package manager, then run this again"
  fi
}

install_browser() {
  if has chromedriver || ! has apt-get; then return; fi
  apt_install chromium chromium-driver ||
    say "could not install a browser, which the tests of the page need"
}

apt_install() {
  if ! is_root && ! has sudo; then
    say "run this once as root: apt-get install $*"
    return 1
  fi
  say "installing $* with apt (needs root; no service is started)"
  without_starting_services apt_get install "$@" && return
  say "apt's package lists seem to be outdated; updating them"
  apt_get update
  without_starting_services apt_get install "$@"
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq --yes --no-install-recommends "$@" >/dev/null
}

# Debian starts a service as soon as its package is installed, unless this file
# forbids it. An existing file stays as it is.
without_starting_services() (
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  "$@"
)

keep_from_starting_at_boot() {
  local service
  for service in "$@"; do
    if has systemctl; then
      as_root systemctl --quiet --no-reload disable "$service" 2>/dev/null || true
    else
      as_root update-rc.d "${service%.*}" disable 2>/dev/null || true
    fi
  done
}

install_python_packages() {
  local for_what=$1 extras=api,consumer,heic,torch,courier,standalone wanted stamp
  wanted="$PWD $(cat pyproject.toml constraints.txt | cksum)"
  if [ "$(cat "$VENV/installed-to-$for_what" 2>/dev/null)" = "$wanted" ] &&
    "$VENV/bin/python" -c '' 2>/dev/null; then
    return
  fi

  make_venv
  say "installing Python packages into $VENV (the first time takes a minute or more)"
  install_cpu_torch
  case $for_what in
    test) extras=$extras,dev ;;
    bench) extras=$extras,bench ;;
    quantize) extras=$extras,quantize ;;
  esac
  pip_install -e ".[$extras]"
  compile_packages
  for stamp in run "$for_what"; do echo "$wanted" >"$VENV/installed-to-$stamp"; done
}

make_venv() {
  local python
  python=$(find_python) || die "install Python 3.11 or later, then run this again"
  if "$VENV/bin/python" -c '' 2>/dev/null; then return; fi
  if ! "$python" -c 'import ensurepip' 2>/dev/null && has apt-get; then
    apt_install python3-venv || die "Python's venv module is missing"
  fi
  "$python" -m venv --clear "$VENV"
}

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# On Linux the package index has torch with CUDA, gigabytes that a CPU never
# uses. torch and torchvision must come from the same index.
install_cpu_torch() {
  "$VENV/bin/python" - "$CPU_TORCH/torch/" 2>/dev/null <<'END' || return 0
import signal, sys, urllib.request
signal.alarm(5)  # the timeout below does not cover a name server that hangs
urllib.request.urlopen(sys.argv[1], timeout=3)
END
  say "installing torch for CPUs from $CPU_TORCH"
  pip_install --no-deps --index-url "$CPU_TORCH" torch torchvision ||
    say "that failed; using the package index instead"
}

pip_install() {
  "$VENV/bin/python" -m pip --disable-pip-version-check install -qq --no-compile \
    -c constraints.txt "$@"
}

# pip would do it on one core. Some modules are for other versions of Python, and do not compile.
compile_packages() {
  "$VENV/bin/python" -m compileall -qq -j 0 "$VENV/lib" >/dev/null || true
}

say() { echo "darkroom: $*" >&2; }

die() {
  say "$*"
  exit 1
}

# System programs may be outside a normal user's PATH.
has() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }

has_rabbitmq() { [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || has rabbitmq-server; }

is_root() { [ "$(id -u)" = 0 ]; }

as_root() {
  if is_root; then "$@"; else sudo "$@"; fi
}

main "$@"
