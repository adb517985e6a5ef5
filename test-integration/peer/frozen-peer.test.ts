import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../../src/kernel/random.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import type { FetchRequest } from '../../src/partition/replication.ts';
import { PeerClient } from '../../src/peer/peer-client.ts';
import { PeerServer } from '../../src/peer/peer-server.ts';
import { DEFAULT_PEER_SETTINGS } from '../../src/peer/peer-settings.ts';
import type { ForwardedPublish } from '../../src/peer/ports.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { NodeAuthority } from '../../test/support/node-certificates.ts';
import { eventually } from '../support/eventually.ts';
import type { PeerOrder } from './peer-process.ts';
import { AGREEABLE } from './peer-process.ts';

const PROGRAM = fileURLToPath(new URL('./peer-process.ts', import.meta.url));
/** Keep-alive notices after 4 s; a busy machine needs a little more. */
const NOTICED_WITHIN_MS = 10_000;

const authority = await NodeAuthority.create();
const common = { cluster: 'main', settings: DEFAULT_PEER_SETTINGS, clock: systemClock };
const tls = await authority.tls('a');
const REQUEST: FetchRequest = {
  ...{ sessionId: 0, sequence: 0, received: -1, changed: [], forgotten: [] },
  ...{ maxBytes: 1024, maxWaitMs: 500 },
};
const PUBLISH: ForwardedPublish = {
  topicId: 't',
  partition: 0,
  leaderEpoch: 1,
  acks: 2,
  batch: Buffer.from('x'),
};

describe('a node that is frozen', () => {
  let child: ChildProcess;
  const stop: (() => unknown)[] = [];
  afterEach(async () => {
    child.kill('SIGKILL');
    for (const one of stop.splice(0)) await one();
  });

  /** Node `b` in a process. @returns its address */
  async function startB(fetchFrom?: string): Promise<string> {
    child = spawn(process.execPath, [PROGRAM, 'run'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const order: PeerOrder = { tls: await authority.tls('b'), fetchFrom };
    child.stdin!.write(`${JSON.stringify(order)}\n`);
    const [port] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
    return `127.0.0.1:${port}`;
  }

  it('fails what it was asked with UNAVAILABLE within seconds, and is asked again when it goes on', async () => {
    const address = await startB();
    const client = new PeerClient({
      ...{ ...common, tls, random: systemRandom, log: silentLogger },
      addressOf: () => address,
    });
    stop.push(() => client.close());
    await client.fetch('b', REQUEST);
    child.kill('SIGSTOP');
    const startMs = systemClock.monotonicMs();
    const codes = await Promise.all([
      client.fetch('b', REQUEST).then(() => 'answered', codeOf),
      new Promise((resolve) => client.forward('b', PUBLISH, (answer) => resolve(codeOf(answer)))),
      client.describePartitions('b', []).then(() => 'answered', codeOf),
    ]);
    expect(codes).toEqual(['UNAVAILABLE', 'UNAVAILABLE', 'UNAVAILABLE']);
    expect(systemClock.monotonicMs() - startMs).toBeLessThan(NOTICED_WITHIN_MS);
    child.kill('SIGCONT');
    await eventually('b answers again', () =>
      client.fetch('b', REQUEST).then(
        () => true,
        () => false,
      ),
    );
  });

  it('is forgotten as a follower within seconds', async () => {
    const heard: string[] = [];
    const server = await PeerServer.listen(
      { ...common, tls, host: '127.0.0.1', port: 0, log: silentLogger },
      {
        ...AGREEABLE,
        replication: {
          fetch: (from, { sessionId, sequence }) => {
            heard.push(from);
            return Promise.resolve({ sessionId, sequence, partitions: [] });
          },
          forget: (from) => void heard.push(`${from} is gone`),
        },
      },
    );
    stop.push(() => server.close(0));
    await startB(`127.0.0.1:${server.port}`);
    await eventually('b fetches', () => heard.includes('b'));
    child.kill('SIGSTOP');
    await eventually('b is gone', () => heard.at(-1) === 'b is gone', NOTICED_WITHIN_MS);
  });
});

function codeOf(answer: unknown): string {
  return answer instanceof SluiceError ? answer.code : 'answered';
}
