# Apache Kafka, one broker that is its own controller (KRaft): sourced by stack.sh.
# shellcheck shell=bash

java_() { "$JAVA" -Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.level=error -cp "$KAFKA_LIBS/*" "$@"; }

start_kafka() {
    if pid_of kafka >/dev/null; then return; fi
    need_free KAFKA_PORT KAFKA_CONTROLLER_PORT
    local home=$STATE/kafka
    mkdir -p "$home"
    kafka_configuration "$home"
    if [ ! -e "$home/data/meta.properties" ]; then
        rm -rf "$home/data"
        java_ kafka.tools.StorageTool format -t "$(cluster_id)" -c "$home/server.properties" >"$STATE/logs/kafka-format.log" 2>&1 ||
            { tail -5 "$STATE/logs/kafka-format.log" >&2; die "formatting Kafka's storage failed"; }
    fi
    : >"$STATE/logs/kafka.log"
    launch kafka "$JAVA" "-Xmx${KAFKA_HEAP:-256m}" -Xms128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        "-Dlog4j2.configurationFile=$home/log4j2.properties" -cp "$KAFKA_LIBS/*" kafka.Kafka "$home/server.properties"
}

await_kafka() { ready kafka grep -q 'Kafka Server started' "$STATE/logs/kafka.log"; }

cluster_id() {
    python3 -c 'import base64, uuid; print(base64.urlsafe_b64encode(b"\x4c" + uuid.uuid4().bytes[1:]).decode().rstrip("="))'
}

kafka_configuration() {
    cat >"$1/server.properties" <<X
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$1/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
X
    cat >"$1/log4j2.properties" <<'X'
status=error
appender.c.type=Console
appender.c.name=c
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%d %p %c{1} %m%n
rootLogger.level=INFO
rootLogger.appenderRef.c.ref=c
X
}
