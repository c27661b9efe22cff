#!/bin/sh
# Checks what the machine must have before anything can be installed, and says how to install what is missing.
# With --python it only prints the Python to use; with --tests it checks what only `make test` needs.
set -eu

minimum_java=17
minimum_node=20

usable_python() {
    # A name on the path need not run (version managers leave such names), and Debian ships venv apart.
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            # The interpreter itself, not a name that may mean another one in another folder.
            "$candidate" -c 'import sys; print(sys.executable)'
            return 0
        fi
    done
    return 1
}

java_version() {
    java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
    "$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1
}

missing=""
if ! python=$(usable_python); then
    missing="$missing python"
fi
if [ "${1:-}" = "--python" ]; then
    [ -n "${python:-}" ] || { echo "Python 3.11 or later (with venv) is missing: run 'make tools'" >&2; exit 1; }
    echo "$python"
    exit 0
fi
if [ "${1:-}" = "--tests" ]; then
    node=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p' || true)
    if [ -n "$node" ] && [ "$node" -ge "$minimum_node" ] && command -v npm >/dev/null 2>&1; then
        exit 0
    fi
    cat >&2 <<HELP
missing: Node.js $minimum_node or later with npm (found: ${node:-none}) - make test generates and runs a TypeScript client

To install it:
  Debian, Ubuntu  sudo apt-get install nodejs npm       (Debian 13, Ubuntu 25.04 or later; before, from nodejs.org)
  Fedora          sudo dnf install nodejs npm
  macOS           brew install node
HELP
    exit 1
fi
version=$(java_version || true)
if [ -z "$version" ] || [ "$version" -lt "$minimum_java" ]; then
    missing="$missing java"
fi
command -v mvn >/dev/null 2>&1 || missing="$missing maven"
[ -z "$missing" ] && exit 0

for tool in $missing; do
    case "$tool" in
    python) echo "missing: Python 3.11 or later, with its venv module" ;;
    java) echo "missing: a JDK, $minimum_java or later (found: ${version:-none}) - Keycloak runs on it" ;;
    maven) echo "missing: Maven (mvn) - Keycloak is fetched with it" ;;
    esac
done >&2
cat >&2 <<'HELP'

To install what is missing:
  Debian, Ubuntu  sudo apt-get install python3 python3-venv openjdk-17-jdk-headless maven
  Fedora          sudo dnf install python3 java-21-openjdk-headless maven
  macOS           brew install python openjdk maven     (then follow what brew says about JAVA_HOME)
HELP
exit 1
