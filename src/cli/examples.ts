import type { Command } from 'commander';

/** What stands below the help of a command. */
interface Examples {
  /** Command lines, a remark behind some of them. */
  readonly lines: readonly string[];
  readonly note?: string;
}

/** By command; a group of commands shows the first line of each of its own. */
const EXAMPLES: Readonly<Record<string, Examples>> = {
  serve: {
    lines: [
      'sluice serve                                        data in ./sluice-data, QUIC 127.0.0.1:7450, HTTP 127.0.0.1:7451',
      'sluice serve --data /var/lib/sluice --config /etc/sluice.yaml',
      "sluice serve --quic 127.0.0.1:0 --http 127.0.0.1:0  free ports; read them from the 'node.ready' line",
    ],
    note: 'Ctrl-C or SIGTERM drains: clients are told to go, publishes are answered, then it exits with 0. A second one ends it at once.',
  },
  'config show': {
    lines: [
      'sluice config show --config /etc/sluice.yaml        before a node is started with it',
      'sluice config show -o json',
    ],
  },
  'config reference': { lines: ['sluice config reference', 'sluice config reference -o json'] },
  'certs init': {
    lines: ['sluice certs init --dir certs', "sluice certs init --dir node-certs --name 'Between our nodes'"],
  },
  'certs issue': {
    lines: [
      'sluice certs issue broker-1 --dir certs --server --host broker-1.example.org --host 10.0.0.5',
      'sluice certs issue ingest --dir certs --client',
      'sluice certs issue n1 --dir certs --node --cluster main       for connections between nodes: peer.tls',
    ],
  },
  'certs show': {
    lines: ['sluice certs show certs/ingest.pem', 'sluice certs show certs/*.pem -o json'],
  },
  pub: {
    lines: [
      'sluice pub greetings hello                          one record',
      'sluice pub sensors/room1/temp 21.5                  with key room1/temp',
      'tail -f app.log | sluice pub logs                   one record per line',
      'sluice pub flights --file f.ndjson --key-field origin --compression zstd',
      'sluice pub images/cat.png --whole-file --file cat.png',
      'sluice pub reminders tea --deliver-at 15m --ttl 1h  for queues: in a quarter of an hour, or never',
    ],
  },
  sub: {
    lines: [
      'sluice sub greetings --from earliest                everything retained, then what comes',
      "sluice sub 'sensors/+/temp' -o json                 keys by MQTT wildcard, one JSON object per line",
      'sluice sub prices --from last-per-key --count 10    the latest record of each key',
      'sluice sub logs --from 15m                          from a quarter of an hour ago',
      "sluice sub 'prices.*' --count 100 --timeout 10s     exit code 6 if there are fewer",
      'sluice sub orders --group billing --from earliest   share the partitions with other members of billing',
    ],
    note: 'Into a pipe whose reader ends (| head -1) it ends at the next record; --count 1 ends at once.',
  },
  bench: {
    lines: [
      'sluice bench --records 500000 --subscribers 10      as fast as it goes: read the rates',
      'sluice bench --rate 2000 --records 20000            at a fixed rate: read the latencies',
    ],
  },
  'topic create': {
    lines: [
      'sluice topic create prices --partitions 8 --retention-bytes 256MiB --retention 1h',
      'sluice topic create ledger --storage disk --retention 7d --retention-bytes 10GiB --if-not-exists',
      'sluice topic create profiles --storage disk --retention-bytes 0 --cleanup compact',
    ],
  },
  'topic list': { lines: ['sluice topic list', 'sluice topic list -o json'] },
  'topic describe': { lines: ['sluice topic describe prices', 'sluice topic describe prices -o json'] },
  'topic alter': {
    lines: ['sluice topic alter prices --partitions 16', 'sluice topic alter ledger --retention 30d'],
  },
  'topic delete': { lines: ['sluice topic delete prices', 'sluice topic delete prices ledger -o json'] },
  'topic delete-records': {
    lines: [
      'sluice topic delete-records ledger --before 2026-01-31T00:00:00Z',
      'sluice topic delete-records ledger --before 1000 --partition 0',
      'sluice topic delete-records ledger --before latest           all of them; the topic stays',
    ],
  },
  status: { lines: ['sluice status', 'sluice status --watch', 'sluice status -o json'] },
  'token create': {
    lines: [
      "sluice token create ingest --grant 'sensors*:publish' --expires 30d",
      "sluice token create dashboard --grant '*:subscribe' -o json",
      "sluice token create admin --grant '*:publish,subscribe,admin'",
    ],
    note: 'The token is shown once; the node keeps only its hash.',
  },
  'token list': { lines: ['sluice token list', 'sluice token list -o json'] },
  'token revoke': {
    lines: ['sluice token revoke 8135bac0ed3de671               an ID of: sluice token list'],
  },
  'cluster status': { lines: ['sluice cluster status', 'sluice cluster status -o json'] },
  'cluster nodes': { lines: ['sluice cluster nodes', 'sluice cluster nodes -o json'] },
  'cluster drain': {
    lines: [
      'sluice cluster drain n2                before it is stopped: it hands over what it leads',
      'sluice cluster drain n2 --cancel       it takes its share again',
    ],
  },
  'cluster rebalance': {
    lines: ['sluice cluster rebalance               after nodes were added'],
  },
  'group list': { lines: ['sluice group list', 'sluice group list -o json'] },
  'group describe': { lines: ['sluice group describe billing', 'sluice group describe billing -o json'] },
  'group reset': {
    lines: [
      'sluice group reset billing orders --to earliest     from the beginning again',
      'sluice group reset billing orders --to 2026-01-31T00:00:00Z',
      'sluice group reset billing orders --to 1000 --partition 0',
    ],
    note: 'Stop the members first.',
  },
  'group delete': { lines: ['sluice group delete billing', 'sluice group delete billing audit -o json'] },
  'queue list': { lines: ['sluice queue list', 'sluice queue list -o json'] },
  'queue describe': {
    lines: ['sluice queue describe jobs', 'sluice queue describe jobs --group mail -o json'],
  },
  'queue configure': {
    lines: [
      'sluice queue configure jobs --lease 2m --max-attempts 10 --backoff 5s',
      'sluice queue configure orders --group mail --ordered-by-key --from latest',
    ],
  },
  'queue delete': { lines: ['sluice queue delete jobs', 'sluice queue delete jobs --group mail'] },
  'queue peek': { lines: ['sluice queue peek jobs', 'sluice queue peek jobs --max 100 -o json'] },
  'queue receive': {
    lines: [
      'sluice queue receive jobs --wait 30s                one record, acknowledged when it is printed',
      'sluice queue receive jobs --max 100 -o json',
      'sluice queue receive jobs --keep --lease 5m         TOKEN<tab>VALUE; then queue ack jobs TOKEN',
    ],
  },
  'queue consume': {
    lines: [
      'sluice queue consume jobs                           print and acknowledge, until Ctrl-C',
      "sluice queue consume jobs --exec './resize.sh' --concurrency 4",
      'sluice queue consume mail --exec \'sendmail "$RECORD_KEY"\' --count 100 --timeout 1m',
    ],
    note:
      'The command finds RECORD_TOPIC, RECORD_PARTITION, RECORD_OFFSET, RECORD_ATTEMPT and RECORD_KEY in its environment. Its lease is extended\n' +
      'while it runs. Exit codes 126 and 127, that it cannot be run, end the consumer and count no attempt.',
  },
  'queue ack': { lines: ['sluice queue ack jobs 0.1.2s', 'sluice queue ack jobs 0.1.2s 0.1.2t'] },
  'queue nack': { lines: ["sluice queue nack jobs 0.1.2s --delay 10m --reason 'printer on fire'"] },
  'queue reject': { lines: ["sluice queue reject jobs 0.1.2s --reason 'no such customer'"] },
  'queue extend': { lines: ['sluice queue extend jobs 0.1.2s --lease 10m'] },
  'queue release': { lines: ['sluice queue release jobs 0.1.2s'] },
  'dlq list': {
    lines: [
      'sluice dlq list                                     topics that have dead letters',
      'sluice dlq list jobs --max 1000',
      'sluice dlq list jobs -o json',
    ],
  },
  'dlq peek': { lines: ['sluice dlq peek jobs', 'sluice dlq peek jobs 0:17 -o json'] },
  'dlq replay': {
    lines: [
      'sluice dlq replay jobs 0:17 0:18                    back to jobs',
      'sluice dlq replay jobs --all --to jobs-by-hand',
    ],
  },
  'dlq delete': { lines: ['sluice dlq delete jobs 0:17 0:18'] },
  'dlq purge': { lines: ['sluice dlq purge jobs'] },
  'dlq export': {
    lines: ['sluice dlq export jobs > jobs.ndjson', 'sluice dlq export jobs | jq .value'],
  },
  'log verify': {
    lines: [
      'sluice log verify --data /var/lib/sluice',
      'sluice log verify --topic ledger --partition 0 -o json',
    ],
    note: 'The node has to be stopped; nothing is changed.',
  },
  'log dump': {
    lines: ['sluice log dump ledger 0 --from 1000 --count 10', 'sluice log dump ledger 0 --records -o json'],
    note: 'The node has to be stopped; nothing is changed.',
  },
};

/** Text for the end of a command's help; empty for `sluice` itself, which has its own. */
export function examplesFor(command: Command): string {
  const path = pathOf(command);
  if (path.length === 0) return '';
  const { lines, note } = EXAMPLES[path.join(' ')] ?? ofGroup(command);
  return ['', 'Examples:', ...lines.map((line) => `  ${line}`), ...(note === undefined ? [] : [note])].join(
    '\n',
  );
}

function ofGroup({ commands }: Command): Examples {
  return { lines: commands.flatMap((one) => EXAMPLES[pathOf(one).join(' ')]?.lines.slice(0, 1) ?? []) };
}

/** Names from below `sluice` down to the command's own. */
function pathOf(command: Command): string[] {
  return command.parent === null ? [] : [...pathOf(command.parent), command.name()];
}
