import { describe, expect, it } from 'vitest';
import { isLoopback, parseServers, serverUrl } from '../../src/cli/server-address.ts';

describe('parseServers', () => {
  it.each([
    ['quic://127.0.0.1:7450', 'quic://127.0.0.1:7450'],
    ['tls://broker.example.org:443', 'tls://broker.example.org:443'],
    ['localhost', 'quic://localhost:7450'],
    ['broker:9000', 'quic://broker:9000'],
    ['quic://[::1]:7450/', 'quic://[::1]:7450'],
  ])('reads %s', (text, url) => {
    expect(parseServers(text).map(serverUrl)).toEqual([url]);
  });

  it('reads several', () => {
    expect(parseServers('quic://a, tls://b:1').map(serverUrl)).toEqual(['quic://a:7450', 'tls://b:1']);
  });

  it.each(['', 'http://a:1', 'quic://', 'a:0', 'a:65536', 'a:b', 'a b', 'quic://a:1/path', 'a,'])(
    'refuses %j',
    (text) => {
      expect(() => parseServers(text)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error,
      );
    },
  );
});

describe('isLoopback', () => {
  it.each([
    ['127.0.0.1', true],
    ['127.8.9.10', true],
    ['localhost', true],
    ['::1', true],
    ['0.0.0.0', false],
    ['10.0.0.1', false],
    ['127.0.0.1.example.org', false],
  ])('%s: %s', (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });
});
