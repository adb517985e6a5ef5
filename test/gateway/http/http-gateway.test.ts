import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HttpGateway, Readiness } from '../../../src/gateway/http/http-gateway.ts';
import { prepareHttpGateway } from '../../../src/gateway/http/http-gateway.ts';
import { silentLogger } from '../../../src/telemetry/logger.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';

const listen = { host: '127.0.0.1', port: 0 };

describe('HTTP gateway', () => {
  let gateway: HttpGateway;
  let readiness: Readiness;
  const start = async (address = listen): Promise<HttpGateway> => {
    const prepared = await prepareHttpGateway({
      metrics: createMetrics(),
      readiness: () => readiness,
      log: silentLogger,
      version: { name: 'sluice', version: '1.2.3' },
    });
    return prepared.listen(address);
  };
  const get = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(`http://127.0.0.1:${gateway.port}${path}`, init);
  /** What the gateway answers to bytes that need not be HTTP. */
  const raw = (bytes: string): Promise<string> => text(connect(gateway.port, '127.0.0.1').end(bytes));

  beforeEach(async () => {
    readiness = { ready: true, reasons: [] };
    gateway = await start();
  });
  afterEach(() => gateway.close());

  it('is healthy while the process answers', async () => {
    readiness = { ready: false, reasons: ['starting'] };
    expect((await get('/healthz')).status).toBe(200);
  });

  it('is ready when the node is', async () => {
    expect((await get('/readyz')).status).toBe(200);
  });

  it('says why it is not ready', async () => {
    readiness = { ready: false, reasons: ['draining'] };
    const response = await get('/readyz');
    expect([response.status, await response.json()]).toEqual([503, { ready: false, reasons: ['draining'] }]);
  });

  it('serves metrics in the text format', async () => {
    const response = await get('/metrics');
    expect(response.headers.get('content-type')).toContain('text/plain');
    expect(await response.text()).toContain('# TYPE process_cpu_seconds_total counter');
  });

  it('tells its version', async () => {
    expect(await (await get('/version')).json()).toEqual({ name: 'sluice', version: '1.2.3' });
  });

  it('answers an unknown path with a coded error', async () => {
    const response = await get('/nowhere?secret=1');
    expect([response.status, await response.json()]).toEqual([
      404,
      {
        error: {
          code: 'INVALID_ARGUMENT',
          message: 'there is no GET /nowhere; what there is: /openapi.json',
        },
      },
    ]);
  });

  it('refuses a path that cannot be decoded with a coded error', async () => {
    const response = await get('/%zz');
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { error: { code: 'INVALID_ARGUMENT' } },
    ]);
  });

  it('refuses what is no HTTP', async () => {
    expect(await raw('\x00\x01\x02 hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('refuses headers without end', async () => {
    expect(await raw(`GET /healthz HTTP/1.1\r\nhost: a\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
  });

  it('reports an address that is taken', async () => {
    await expect(start({ host: '127.0.0.1', port: gateway.port })).rejects.toMatchObject({
      code: 'ADDRESS_IN_USE',
    });
  });

  it('answers nobody after it was closed', async () => {
    await gateway.close();
    await expect(get('/healthz')).rejects.toThrow();
  });
});
