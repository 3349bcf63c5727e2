#!/usr/bin/env bash
# A real Apache Kafka for tests and the demo: one node in KRaft mode, on loopback.
#
#   kafka.sh fetch      its jars from Maven Central into the cache, checked against SHA256SUMS
#   kafka.sh run DIR    configures and starts a broker in DIR, prints one line
#                         plaintext=HOST:PORT sasl=... tls=... sasl_tls=... ca=FILE proxied=... proxy=...
#                       and obeys commands on stdin, answering "ok":
#                         kill     kill -9 the broker        stop   stop it in order
#                         start    start it again, same addresses and data
#                       Ends, and ends the broker, when its input ends.
#
# Listeners: PLAINTEXT, SASL (PLAIN and SCRAM-SHA-512), TLS, and SASL over TLS.  The user is
# vektonn, its password vektonn-secret; the certificate names 127.0.0.1 and localhost.  Clients that come
# to the listener "proxied" are told to connect to "proxy": where a test puts a proxy of its own.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${VK_KAFKA_CACHE:-/var/tmp/vektonn-kafka-$(id -un)}
libs=$cache/libs
user=vektonn
password=vektonn-secret

complain() { echo "kafka.sh: $*" >&2; exit 1; }

checked() { (cd "$libs" 2>/dev/null && sha256sum --quiet -c "$here/SHA256SUMS" >/dev/null 2>&1); }

fetch() {
	command -v java >/dev/null || complain "no java: install default-jre-headless"
	! checked || return 0
	command -v mvn >/dev/null || complain "no mvn: install maven"
	mkdir -p "$cache"
	[ -O "$cache" ] || complain "$cache belongs to another user; set VK_KAFKA_CACHE"
	rm -rf "$libs"
	timeout 600 mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies \
		-DoutputDirectory="$libs" >"$cache/mvn.log" 2>&1 ||
		{ tail -5 "$cache/mvn.log" >&2; complain "Maven Central could not be reached; see $cache/mvn.log"; }
	checked || complain "the jars in $libs are not those of SHA256SUMS"
	chmod -R a+rX "$cache"
}

# Prints N free ports of loopback, below those the kernel gives to outgoing
# connections: a client that retries while the broker is down could otherwise
# get the broker's own port, and keep it.
free_ports() {
	perl -MIO::Socket::INET -e 'my @s;
		while (@s < $ARGV[0]) {
			my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1,
				LocalPort => 12000 + int rand 20000);
			push @s, $s if $s;
		}
		print join(" ", map { $_->sockport } @s)' "$1"
}

run_java() { (exec_java "$@"); }
exec_java() { exec java -Xmx512m -XX:TieredStopAtLevel=1 -Dlog4j.configuration="file:$dir/log4j.properties" \
	-cp "$libs/*" "$@"; }

make_certificate() {
	keytool -genkeypair -alias broker -keyalg EC -validity 2 -dname CN=localhost \
		-ext san=ip:127.0.0.1,dns:localhost -ext bc=ca:true -storetype PKCS12 \
		-keystore "$dir/broker.p12" -storepass "$password" >/dev/null 2>&1
	keytool -exportcert -rfc -alias broker -keystore "$dir/broker.p12" -storepass "$password" \
		>"$dir/ca.pem" 2>/dev/null
}

configure() {
	local plaintext sasl tls sasl_tls controller proxied proxy
	read -r plaintext sasl tls sasl_tls controller proxied proxy <<<"$(free_ports 7)"
	cat >"$dir/log4j.properties" <<-END
		log4j.rootLogger=WARN, out
		log4j.appender.out=org.apache.log4j.ConsoleAppender
		log4j.appender.out.layout=org.apache.log4j.PatternLayout
		log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n
	END
	cat >"$dir/server.properties" <<-END
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:$controller
		listeners=PLAINTEXT://127.0.0.1:$plaintext,SASL_PLAINTEXT://127.0.0.1:$sasl,SSL://127.0.0.1:$tls,SASL_SSL://127.0.0.1:$sasl_tls,PROXIED://127.0.0.1:$proxied,CONTROLLER://127.0.0.1:$controller
		advertised.listeners=PLAINTEXT://127.0.0.1:$plaintext,SASL_PLAINTEXT://127.0.0.1:$sasl,SSL://127.0.0.1:$tls,SASL_SSL://127.0.0.1:$sasl_tls,PROXIED://127.0.0.1:$proxy
		controller.listener.names=CONTROLLER
		inter.broker.listener.name=PLAINTEXT
		listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,PROXIED:PLAINTEXT
		sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
		listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_$user="$password";
		listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_$user="$password";
		listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
		listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
		ssl.keystore.type=PKCS12
		ssl.keystore.location=$dir/broker.p12
		ssl.keystore.password=$password
		log.dirs=$dir/data
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=1
		transaction.state.log.replication.factor=1
		transaction.state.log.num.partitions=1
		transaction.state.log.min.isr=1
		group.initial.rebalance.delay.ms=0
		auto.create.topics.enable=false
		delete.topic.enable=true
		log.cleaner.backoff.ms=500
		log.initial.task.delay.ms=500
	END
	make_certificate
	run_java kafka.tools.StorageTool format -t "$(run_java kafka.tools.StorageTool random-uuid)" \
		-c "$dir/server.properties" --add-scram "SCRAM-SHA-512=[name=$user,password=$password]" \
		>"$dir/format.log" 2>&1 || { cat "$dir/format.log" >&2; complain "could not format $dir/data"; }
	addresses="plaintext=127.0.0.1:$plaintext sasl=127.0.0.1:$sasl tls=127.0.0.1:$tls sasl_tls=127.0.0.1:$sasl_tls ca=$dir/ca.pem proxied=127.0.0.1:$proxied proxy=127.0.0.1:$proxy"
	address=127.0.0.1/$sasl_tls
}

# Every listener opens at once, after the broker has recovered its logs.
start_broker() {
	local attempt
	exec_java kafka.Kafka "$dir/server.properties" >>"$dir/broker.log" 2>&1 </dev/null &
	broker=$!
	for attempt in $(seq 1800); do
		! (: <"/dev/tcp/$address") 2>/dev/null || return 0
		kill -0 "$broker" 2>/dev/null || break
		sleep 0.1
	done
	tail -20 "$dir/broker.log" >&2
	complain "the broker did not start; see $dir/broker.log"
}

end_broker() { # signal
	[ -n "$broker" ] || return 0
	kill "-$1" "$broker" 2>/dev/null || true
	wait "$broker" 2>/dev/null || true
	broker=
}

run() {
	local command
	dir=$1
	broker=
	checked || complain "no checked jars in $libs: run kafka.sh fetch"
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	trap 'end_broker KILL' EXIT
	configure
	start_broker
	echo "$addresses"
	while read -r command; do
		case $command in
		kill) end_broker KILL ;;
		stop) end_broker TERM ;;
		start) [ -n "$broker" ] || start_broker ;;
		*) echo "error: no such command"; continue ;;
		esac
		echo ok
	done
}

case ${1:-} in
fetch) fetch ;;
run) run "${2:?kafka.sh run DIR}" ;;
*) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
