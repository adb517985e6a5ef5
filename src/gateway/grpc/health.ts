import type { sendUnaryData, Server, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { service } from 'grpc-health-check';

/** Whether a service serves. */
export type ServingStatus = 'SERVING' | 'NOT_SERVING';

interface HealthRequest {
  readonly service: string;
}
interface HealthResponse {
  readonly status: ServingStatus | 'SERVICE_UNKNOWN';
}
type Watch = ServerWritableStream<HealthRequest, HealthResponse>;

/**
 * Health of services, grpc.health.v1. That of the package grpc-health-check keeps for ever the name of each service that anybody has watched, and
 * anybody may watch what has a long name.
 */
export class Health {
  readonly #statuses: Map<string, ServingStatus>;
  readonly #watches = new Set<Watch>();

  /** @param services names; all serve */
  constructor(services: readonly string[]) {
    this.#statuses = new Map(services.map((name) => [name, 'SERVING']));
  }

  /** Watches that are open. */
  get watchCount(): number {
    return this.#watches.size;
  }

  /** All services have that status from now on; who watches is told. */
  setAll(serving: ServingStatus): void {
    for (const name of this.#statuses.keys()) this.#statuses.set(name, serving);
    for (const watch of this.#watches) this.#tell(watch);
  }

  addToServer(server: Server): void {
    server.addService(service, {
      check: (call: ServerUnaryCall<HealthRequest, HealthResponse>, reply: sendUnaryData<HealthResponse>) => {
        const found = this.#statuses.get(call.request.service);
        if (found) reply(null, { status: found });
        else reply({ code: status.NOT_FOUND, details: 'there is no such service' });
      },
      list: (_call: unknown, reply: sendUnaryData<unknown>) => {
        const statuses = [...this.#statuses].map(([name, found]) => [name, { status: found }] as const);
        reply(null, { statuses: Object.fromEntries(statuses) });
      },
      watch: (call: Watch) => {
        this.#watches.add(call);
        call.on('cancelled', () => this.#watches.delete(call));
        this.#tell(call);
      },
    });
  }

  #tell(watch: Watch): void {
    const found = this.#statuses.get(watch.request.service);
    watch.write({ status: found ?? 'SERVICE_UNKNOWN' });
  }
}
