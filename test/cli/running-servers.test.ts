import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findServer, registerServer } from '../../src/cli/running-servers.ts';
import type { RunningServer } from '../../src/cli/running-servers.ts';

const SERVER: RunningServer = {
  url: 'quic://127.0.0.1:7450',
  http: undefined,
  ca: '/data/tls/ca.pem',
  dataDir: '/data',
  pid: 17,
};
const AT = { host: '127.0.0.1', port: 7450 };
const ADDRESS = { scheme: 'quic', host: '127.0.0.1', port: 7450 } as const;

let folder: string;
let env: Record<string, string>;
const notes = (): string => join(folder, 'sluice/servers');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-state-'));
  env = { XDG_STATE_HOME: folder };
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('running servers', () => {
  it('finds a node that noted itself', () => {
    registerServer(env, AT, SERVER);
    expect(findServer(env, ADDRESS)?.ca).toBe('/data/tls/ca.pem');
  });

  it('finds it by another name of this machine', () => {
    registerServer(env, { host: '0.0.0.0', port: 7450 }, SERVER);
    expect(findServer(env, { ...ADDRESS, host: 'localhost' })?.ca).toBe('/data/tls/ca.pem');
  });

  it('does not find it on another port', () => {
    registerServer(env, AT, SERVER);
    expect(findServer(env, { ...ADDRESS, port: 7452 })).toBeUndefined();
  });

  it('knows nothing about other machines', () => {
    registerServer(env, { host: '10.0.0.1', port: 7450 }, SERVER);
    expect(findServer(env, { ...ADDRESS, host: '10.0.0.1' })).toBeUndefined();
  });

  it('forgets a node that stopped', () => {
    registerServer(env, AT, SERVER)();
    expect(findServer(env, ADDRESS)).toBeUndefined();
  });

  it('keeps the note of the node that took the address over', () => {
    const forget = registerServer(env, AT, SERVER);
    registerServer(env, AT, { ...SERVER, pid: 18 });
    forget();
    expect(findServer(env, ADDRESS)?.pid).toBe(18);
  });

  it('lets only its user read the notes', () => {
    registerServer(env, AT, SERVER);
    expect(statSync(notes()).mode & 0o077).toBe(0);
  });

  it('reads a damaged note as none', () => {
    registerServer(env, AT, SERVER);
    writeFileSync(join(notes(), readdirSync(notes())[0]!), '{');
    expect(findServer(env, ADDRESS)).toBeUndefined();
  });

  it('uses ~/.local/state where no state folder is named', () => {
    registerServer({ HOME: folder }, AT, SERVER);
    expect(readdirSync(join(folder, '.local/state/sluice/servers'))).toEqual(['127.0.0.1_7450.json']);
  });
});
