import { beforeEach, describe, expect, it } from 'vitest';
import { FailedAuthentications } from '../../src/security/failed-authentications.ts';
import { FakeClock } from '../support/fake-clock.ts';

const ADDRESS = '192.0.2.1:1';

describe('failed authentications', () => {
  let clock: FakeClock;
  let failures: FailedAuthentications;
  beforeEach(() => {
    clock = new FakeClock();
    failures = new FailedAuthentications(clock);
  });
  const fail = (times: number, address = ADDRESS): number[] =>
    Array.from({ length: times }, () => failures.note(address));

  it('are answered at once, up to twenty', () => {
    expect(fail(20)).toEqual(Array(20).fill(0));
  });

  it('are answered five times a second after that', () => {
    fail(20);
    expect(fail(3)).toEqual([200, 400, 600]);
  });

  it('never wait longer than two seconds', () => {
    expect(Math.max(...fail(1_000))).toBe(2_000);
  });

  it('are forgiven as time passes', () => {
    fail(1_000);
    clock.advance(2_000 + 4_000);
    expect(fail(21)).toEqual([...Array<number>(20).fill(0), 200]);
  });

  it('of one place do not slow down another', () => {
    fail(1_000);
    expect(failures.note('192.0.2.2:1')).toBe(0);
  });

  it('of one place count together, whatever the port', () => {
    for (let port = 1; port <= 20; port += 1) failures.note(`192.0.2.1:${port}`);
    expect(failures.note('192.0.2.1:99')).toBe(200);
  });

  it('are counted, and those that had to wait', () => {
    fail(25);
    expect([failures.failed, failures.slowed]).toEqual([25, 5]);
  });

  it('take no more memory than ten thousand places', () => {
    for (let place = 0; place < 30_000; place += 1)
      failures.note(`10.${place >> 16}.${(place >> 8) & 255}.${place & 255}:1`);
    expect(failures.places).toBe(10_000);
  });
});
