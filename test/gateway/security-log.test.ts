import { beforeEach, describe, expect, it } from 'vitest';
import { SecurityLog } from '../../src/gateway/security-log.ts';
import type { SecurityEvent } from '../../src/security/audit.ts';
import { ANONYMOUS } from '../../src/security/principal.ts';
import type { LogFields } from '../../src/telemetry/logger.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { FakeClock } from '../support/fake-clock.ts';

describe('security log', () => {
  let clock: FakeClock;
  let written: { evt: string; fields: LogFields | undefined }[];
  let security: SecurityLog;

  beforeEach(() => {
    clock = new FakeClock();
    written = [];
    const note = (evt: string, fields?: LogFields): void => void written.push({ evt, fields });
    security = new SecurityLog({ ...silentLogger, info: note, warn: note }, clock);
  });

  const failed = (host: string): SecurityEvent => ({
    kind: 'authentication_failed',
    code: 'UNAUTHENTICATED',
    remoteAddress: `${host}:1`,
  });
  const denied = (name: string): SecurityEvent => ({
    kind: 'access_denied',
    principal: { name, kind: 'token', admin: false, rights: [], remoteAddress: '192.0.2.1:7' },
    operation: 'publish',
    topic: 'orders',
  });

  it('writes who was denied what, and from where', () => {
    security.note(denied('mallory'));
    expect(written).toEqual([
      {
        evt: 'security.access_denied',
        fields: {
          principal: 'mallory',
          kind: 'token',
          operation: 'publish',
          topic: 'orders',
          remoteAddress: '192.0.2.1:7',
        },
      },
    ]);
  });

  it('writes ten records of one kind about one client at once, and then one in five seconds', () => {
    for (let i = 0; i < 50; i += 1) security.note(denied('mallory'));
    clock.advance(5_000);
    security.note(denied('mallory'));
    security.note(denied('mallory'));
    expect(written).toHaveLength(11);
  });

  it('goes on about others while one client makes noise', () => {
    for (let i = 0; i < 10_000; i += 1) security.note(denied('mallory'));
    security.note(denied('eve'));
    security.note(failed('192.0.2.9'));
    expect(written.slice(10).map(({ evt }) => evt)).toEqual([
      'security.access_denied',
      'security.authentication_failed',
    ]);
  });

  it('writes a hundred records of one kind at once, whoever they are about, and then ten a second', () => {
    for (let i = 0; i < 5_000; i += 1) security.note(failed(`10.0.${i >> 8}.${i & 255}`));
    const atOnce = written.length;
    clock.advance(1_000);
    for (let i = 0; i < 5_000; i += 1) security.note(failed(`10.1.${i >> 8}.${i & 255}`));
    expect([atOnce, written.length]).toEqual([100, 110]);
  });

  it('says what was left out, once', () => {
    for (let i = 0; i < 30; i += 1) security.note(denied('mallory'));
    for (let i = 0; i < 12; i += 1) security.note(failed('192.0.2.9'));
    clock.advance(10_000);
    clock.advance(60_000);
    expect(written.slice(20)).toEqual([
      {
        evt: 'security.events_left_out',
        fields: { access_denied: 20, authentication_failed: 2 },
      },
    ]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('leaves out nothing that an administrator did', () => {
    for (let i = 0; i < 500; i += 1)
      security.note({ kind: 'token_created', id: 'id', name: 'ingest', by: ANONYMOUS });
    expect(written).toHaveLength(500);
  });
});
