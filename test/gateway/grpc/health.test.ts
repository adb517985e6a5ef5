import type { Server, UntypedServiceImplementation } from '@grpc/grpc-js';
import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { Health } from '../../../src/gateway/grpc/health.ts';

class FakeWatch extends EventEmitter {
  readonly request: { readonly service: string };
  readonly told: string[] = [];

  constructor(service: string) {
    super();
    this.request = { service };
  }

  write({ status }: { status: string }): void {
    this.told.push(status);
  }
}

function open(services: readonly string[]): { health: Health; watch: (call: FakeWatch) => void } {
  const health = new Health(services);
  let watch: (call: FakeWatch) => void = () => undefined;
  const addService = (_service: unknown, { watch: handle }: UntypedServiceImplementation): void => {
    watch = handle as unknown as typeof watch;
  };
  health.addToServer({ addService } as unknown as Server);
  return { health, watch };
}

describe('health', () => {
  it('tells who watches what has changed', () => {
    const { health, watch } = open(['a']);
    const [known, unknown] = [new FakeWatch('a'), new FakeWatch('b')];
    watch(known);
    watch(unknown);
    health.setAll('NOT_SERVING');
    expect(known.told).toEqual(['SERVING', 'NOT_SERVING']);
    expect(unknown.told[0]).toBe('SERVICE_UNKNOWN');
  });

  it('keeps nothing of watches that are over, whatever they asked for', () => {
    const { health, watch } = open(['a']);
    for (const name of ['a', 'b', 'x'.repeat(10_000)]) {
      const call = new FakeWatch(name);
      watch(call);
      expect(health.watchCount).toBe(1);
      call.emit('cancelled');
    }
    expect(health.watchCount).toBe(0);
  });
});
