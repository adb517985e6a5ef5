import { expect, it } from 'vitest';
import { DirectRoutes } from '../../../src/client/producer/direct-routes.ts';
import type { NodeLinks } from '../../../src/client/connection/node-links.ts';
import type { ClientPorts } from '../../../src/client/ports.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

it('makes no way to a node after it was closed, since nobody would close that', () => {
  const asked: string[] = [];
  let attached = 0;
  const linkTo = (nodeId: string): unknown => {
    asked.push(nodeId);
    const detach = (): void => {
      attached -= 1;
    };
    return { nodeId, want: () => undefined, attach: () => (attached++, detach) };
  };
  const ports = { clock: new FakeClock(), random: new SeededRandom(1) } as unknown as ClientPorts;
  const user = { streamUp: () => undefined, streamLost: () => undefined, nodeUnreachable: () => undefined };
  const routes = new DirectRoutes({ linkTo } as unknown as NodeLinks, ports, user);
  routes.streamTo('n1');
  expect(attached).toBe(1);
  routes.close();
  routes.streamTo('n2');
  expect([asked, attached]).toEqual([['n1'], 0]);
});
