#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# /metrics after hosts have worked, read by the parsers of Prometheus' own client
# library (the one of OpenMetrics is strict: families, suffixes, units, buckets that
# rise, the end), and latency by volume, operation and host.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/api.sh"
. "$(dirname "$0")/host.sh"
needs curl jq qemu-io
python=/usr/bin/python3 # Debian's, which has Debian's packages
$python -c 'import prometheus_client.openmetrics.parser' 2>/dev/null ||
	skip_all "python3-prometheus-client is missing"

write_settings 0
cat >"$work/document.yaml" <<YAML
volumes:
  - {name: a, source: {listeners: [{type: stats}, {type: cache, name: warm, size: 2M}], protocol: {type: mem, size: 16MiB}}}
  - {name: b, source: {protocol: {type: mem, size: 16MiB}}}
  - {name: c, source: {format: {type: qcow2, size: 8MiB, file: {protocol: {type: mem, size: 16MiB}}}}}
hosts: [{name: web1, iscsi: {iqn: ['*']}}]
targets: [{name: a}, {name: b}, {name: c}]
exports:
  - {volume: a, target: a, lun: 0, hosts: [web1]}
  - {volume: b, target: b, lun: 0, hosts: [web1]}
  - {volume: c, target: c, lun: 0, hosts: [web1]}
YAML
check "the daemon starts" start_daemon
url=iscsi://127.0.0.1:$port/$iqn
check "a host works" io_of a 'write 0 64k' 'write 64k 64k' 'read 0 64k' flush
check "with another volume, too" io_of b 'write 0 4k'
check "and with an image" io_of c 'write 0 4k'

parse() { # MODULE: what the last answer says, as one JSON object a sample
	$python -c 'import importlib, json, sys
parser = importlib.import_module("prometheus_client." + sys.argv[1])
for family in parser.text_string_to_metric_families(open(sys.argv[2]).read()):
    assert family.type != "unknown" and family.documentation, family.name
    for sample in family.samples:
        print(json.dumps({"type": family.type, "name": sample.name, "value": sample.value, **sample.labels}))
' "$1" "$work/body" >"$work/samples"
}
counts() { # NAME VOLUME OP: of web1
	jq -s --arg name "$1" --arg volume "$2" --arg op "$3" '[.[] | select(.name == $name and
		.volume == $volume and .op == $op and .host == "web1") | .value] | add' "$work/samples"
}
count_is() { local is; is=$(counts "${@:1:3}"); [ "${is%.0}" = "$4" ] || { echo "$is"; return 1; }; }
duration=cairn_volume_io_duration_seconds
has_flushes() { [ "$(counts ${duration}_count a flush)" != null ]; }
check "OpenMetrics" answers 200 local_api /metrics
check "read by a strict parser" parse openmetrics.parser
check "writes of a host on a volume" count_is ${duration}_count a write 2
check "its read" count_is ${duration}_count a read 1
check "its flush" has_flushes
some_time() { jq -se "any(.[]; .name == \"${duration}_sum\" and .volume == \"a\" and .op == \"write\" and .value > 0)" "$work/samples"; }
check "which took some time" some_time
check "of another volume apart" count_is ${duration}_count b write 1
check "bytes" count_is cairn_volume_bytes_total a write 131072
whole() { # the last bucket of each is its count
	jq -se "([.[] | select(.name == \"${duration}_bucket\" and .le == \"+Inf\") | [.volume, .op, .host, .value]] | sort) ==
		([.[] | select(.name == \"${duration}_count\") | [.volume, .op, .host, .value]] | sort)" "$work/samples"
}
check "the last bucket is all" whole
tables() { # NAME TEST
	jq -se "[.[] | select(.name == \"$1\") | .value] | length == 1 and (.[0] | $2)" "$work/samples"
}
check "tables of images in memory" tables cairn_table_cache_bytes '. > 4096 and . < 16777216'
check "their bound" tables cairn_table_cache_limit_bytes '. == 536870912'
cache() { # NAME TEST: of volume a
	jq -se "[.[] | select(.name == \"cairn_volume_cache_$1\" and .volume == \"a\" and .cache == \"warm\") | .value] |
		length == 1 and (.[0] | $2)" "$work/samples"
}
check "reads from memory" cache hits_total '. == 0'
check "and from below" cache misses_total '. >= 1'
check "blocks that are kept" cache used_bytes '. == 65536'
check "of so much memory" cache size_bytes '. == 2097152'
check "all caches" tables cairn_read_cache_bytes '. > 2097152 and . < 4194304'
check "their bound" tables cairn_read_cache_limit_bytes '. == 1073741824'
check "it is made smaller, live" changes 200 PATCH /volumes/a/listeners/warm '{"size": "1M"}'
check "as the metrics say" bash -c "curl -s --unix-socket '$work/run/cairn.sock' http://cairn/metrics | grep -q 'cache_size_bytes.*warm.* 1048576'"
check "larger than all may be" changes 409 PATCH /volumes/a/listeners/warm '{"size": "2G"}'
check "is refused by name" grep -q 'read_cache in the settings' "$work/body"
check "it is as it was" gets 200 GET /volumes/a/listeners/warm
check "of that size" says .size 1048576
check "a host reads" io_of a 'read 0 64k' 'read 0 64k' 'read 0 64k'
check "the second time from memory" gets 200 GET /volumes/a/figures
check "as its figures say" says '.cache.hits >= 1 and .cache.size_bytes == 1048576' true
check "without a cache there are none" gets 200 GET /volumes/b/figures
check "which is said" says .cache null
check "the classic format" answers 200 local_api -H 'Accept: text/plain' /metrics
check "read by its parser" parse parser
check "says the same" count_is ${duration}_count a write 2
check "it ends" stop_daemon
finish
