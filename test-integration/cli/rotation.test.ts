import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { Served } from './sluice.ts';
import { Place } from './sluice.ts';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.leave());

/** Makes an authority in its own folder with a certificate for the node, and puts that where the node reads it. */
async function install(authority: string): Promise<void> {
  const dir = ['--dir', authority];
  await place.run(['certs', 'init', ...dir]);
  await place.run(['certs', 'issue', 'broker', '--server', '--host', '127.0.0.1', ...dir]);
  copyFileSync(join(place.folder, authority, 'broker-key.pem'), join(place.folder, 'key.pem'));
  copyFileSync(join(place.folder, authority, 'broker.pem'), join(place.folder, 'certificate.pem'));
}

async function serve(): Promise<Served> {
  await install('before');
  return place.serve(['--tls-listen', '127.0.0.1:0'], {
    SLUICE_TLS_CERTIFICATE: 'certificate.pem',
    SLUICE_TLS_KEY: 'key.pem',
  });
}

const publish = async (server: string, authority: string): Promise<number | null> =>
  (await place.run(['pub', 'news', 'x', '--server', server, '--ca', `${authority}/ca.pem`])).exitCode;

describe('certificates of a running node', () => {
  it('are read again at SIGHUP, and a client of before goes on', async () => {
    const { quic, tls, pid, running } = await serve();
    const reader = place.start(['sub', 'news', '--server', quic, '--ca', 'before/ca.pem']);
    await eventually('the reader is there', async () => {
      await publish(quic, 'before');
      return reader.stdout !== '';
    });
    await install('after');
    process.kill(pid, 'SIGHUP');
    await eventually('the new certificate is shown', async () => (await publish(quic, 'after')) === 0);
    expect([await publish(tls!, 'after'), (await publish(quic, 'before')) === 0]).toEqual([0, false]);
    const before = reader.stdout.length;
    await publish(quic, 'after');
    await eventually('the reader goes on', () => reader.stdout.length > before);
    expect(running.stderr).toContain('"evt":"security.certificates_replaced"');
  });

  it('stay when the new ones are of no use, and the log says why', async () => {
    const { quic, pid, running } = await serve();
    writeFileSync(join(place.folder, 'certificate.pem'), 'nothing of use');
    process.kill(pid, 'SIGHUP');
    await eventually('it is logged', () => running.stderr.includes('"evt":"tls.reload_failed"'));
    expect(await publish(quic, 'before')).toBe(0);
  });

  it('are noticed without a signal when their files change', async () => {
    const { tls } = await serve();
    await install('after');
    await eventually('the new certificate is shown', async () => (await publish(tls!, 'after')) === 0);
  });
});
