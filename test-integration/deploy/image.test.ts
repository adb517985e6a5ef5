import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { requireTools } from '../support/system-tools.ts';
import type { Images } from '../chaos/engine.ts';
import { prepareEngine } from '../chaos/engine.ts';

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const MB = 1e6;
const run = promisify(execFile);
const docker = async (...argv: string[]): Promise<string> => (await run('docker', argv)).stdout.trim();

let images: Images;
beforeAll(async () => {
  images = await prepareEngine();
}, 600_000);

describe('the image', () => {
  let container: string | undefined;
  afterEach(async () => {
    if (container !== undefined) await docker('rm', '-f', '-v', container);
    container = undefined;
  });

  /** A node in a container as strict as a cluster would have it. */
  async function start(...argv: string[]): Promise<string> {
    const strict = [
      '--read-only',
      '--tmpfs',
      '/tmp',
      '--cap-drop',
      'ALL',
      '--security-opt',
      'no-new-privileges',
    ];
    container = await docker('run', '-d', ...strict, ...argv);
    return container;
  }

  it('has less than 300 MB, no root, and nothing that is only for developing', async () => {
    const [facts] = JSON.parse(await docker('image', 'inspect', images.node)) as [
      { Size: number; Config: { User: string } },
    ];
    expect(facts.Size).toBeLessThan(300 * MB);
    expect(facts.Config.User).toBe('1000:1000');
    const files = await docker(
      'run',
      '--rm',
      '--entrypoint',
      'ls',
      images.node,
      '/opt/sluice',
      '/opt/sluice/node_modules',
    );
    expect(files.split('\n')).not.toEqual(expect.arrayContaining(['src']));
    expect(files.split('\n')).not.toEqual(expect.arrayContaining(['typescript']));
  });

  it('serves with its files read-only, says that it is healthy, and drains on SIGTERM', async () => {
    const id = await start(images.node);
    await eventually(
      'a healthy container',
      async () => (await docker('inspect', '-f', '{{.State.Health.Status}}', id)) === 'healthy',
    );
    expect(await docker('exec', id, 'sluice', 'pub', 'greetings', 'hello')).toMatch(/^1 record/);
    expect(await docker('exec', id, 'sluice', 'sub', 'greetings', '--from', 'earliest', '--count', '1')).toBe(
      'hello',
    );
    await docker('stop', '--time', '20', id);
    expect(await docker('inspect', '-f', '{{.State.ExitCode}}', id)).toBe('0');
  });

  it('keeps what is on disk when its container is replaced', async () => {
    const volume = ['-v', `sluice-test-${process.pid}:/data`];
    const first = await start(...volume, images.node);
    await eventually('a node', () =>
      docker('exec', first, 'sluice', 'topic', 'create', 'kept', '--storage', 'disk').then(
        () => true,
        () => false,
      ),
    );
    await docker('exec', first, 'sluice', 'pub', 'kept', 'still here');
    await docker('kill', first);
    await docker('rm', first);
    const second = await start(...volume, images.node);
    const read = (): Promise<string> =>
      docker('exec', second, 'sluice', 'sub', 'kept', '--from', 'earliest', '--count', '1');
    await eventually('what was stored', async () => (await read().catch(() => '')) === 'still here');
    await docker('rm', '-f', second);
    container = undefined;
    await docker('volume', 'rm', `sluice-test-${process.pid}`);
  });
});

describe('compose.yaml', () => {
  it('brings up three nodes and etcd, and the first message moves within 30 seconds', () => {
    const [program, ...subcommand] = composeCommand();
    const folder = mkdtempSync(join(tmpdir(), 'sluice-compose-'));
    const env = {
      ...process.env,
      SLUICE_IMAGE: images.node,
      ETCD_IMAGE: images.etcd,
      COMPOSE_PROJECT_NAME: `sluice${process.pid}`,
    };
    const compose = (...argv: string[]): string =>
      execFileSync(program, [...subcommand, '-f', join(PROJECT, 'compose.yaml'), ...argv], {
        ...{ cwd: folder, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
      }).trim();
    try {
      const startMs = performance.now();
      compose('up', '--no-build', '--detach');
      expect(compose('run', '--rm', 'cli', 'pub', 'orders/42', 'hello')).toMatch(/1 record/);
      expect(compose('run', '--rm', 'cli', 'sub', 'orders', '--from', 'earliest', '--count', '1')).toMatch(
        /^hello$/m,
      );
      expect(performance.now() - startMs).toBeLessThan(30_000);
      const status = compose('run', '--rm', 'cli', 'cluster', 'nodes', '-o', 'json');
      expect(status.match(/"nodeId":\s*"n\d"/g)).toHaveLength(3);
    } finally {
      compose('down', '--volumes', '--timeout', '5');
      rmSync(folder, { recursive: true, force: true });
    }
  }, 300_000);
});

/** Docker's own, or the program of before. */
function composeCommand(): readonly [string, ...string[]] {
  try {
    execFileSync('docker', ['compose', 'version'], { stdio: 'ignore' });
    return ['docker', 'compose'];
  } catch {
    requireTools(['docker-compose']);
    return ['docker-compose'];
  }
}
