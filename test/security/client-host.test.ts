import { describe, expect, it } from 'vitest';
import { clientHost } from '../../src/security/client-host.ts';

describe('host of a client', () => {
  it.each([
    ['192.0.2.7:4711', '192.0.2.7'],
    ['[2001:db8:0:1:aaaa::7]:4711', '2001:db8:0:1::/64'],
    ['[2001:DB8:0:0001:bbbb:0:0:9]:1', '2001:db8:0:1::/64'],
    ['[2001:db8::1]:1', '2001:db8:0:0::/64'],
    ['[::1]:1', '0:0:0:0::/64'],
    ['[fe80::1%eth0]:1', 'fe80:0:0:0::/64'],
    ['[::ffff:192.0.2.7]:1', '192.0.2.7'],
    ['unknown:0', 'unknown'],
    ['nothing of the kind', 'nothing of the kind'],
  ])('of %s is %s', (address, host) => {
    expect(clientHost(address)).toBe(host);
  });
});
