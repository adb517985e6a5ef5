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
      'sluice certs issue node-1 --dir certs --node --cluster main   for connections between nodes: peer.tls',
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
    ],
  },
  sub: {
    lines: [
      'sluice sub greetings --from earliest                everything retained, then what comes',
      "sluice sub 'sensors/+/temp' -o json                 keys by MQTT wildcard, one JSON object per line",
      'sluice sub prices --from last-per-key --count 10    the latest record of each key',
      'sluice sub logs --from 15m                          from a quarter of an hour ago',
      "sluice sub 'prices.*' --count 100 --timeout 10s     exit code 6 if there are fewer",
    ],
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
      'sluice cluster drain node-2            before it is stopped: it hands over what it leads',
      'sluice cluster drain node-2 --cancel   it takes its share again',
    ],
  },
  'cluster rebalance': {
    lines: ['sluice cluster rebalance               after nodes were added'],
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
