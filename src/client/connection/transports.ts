import { SluiceError } from '../../kernel/errors.ts';
import type { Transport } from '../../transport/transport.ts';
import type { ClientPorts } from '../ports.ts';

/** Makes the transport of a scheme on first use, so that a client over HTTP/2 needs no QUIC library. */
export class Transports {
  readonly #ports: ClientPorts;
  readonly #injected: Transport | undefined;
  readonly #made = new Map<string, Promise<Transport>>();

  /** @param injected carries every scheme instead */
  constructor(ports: ClientPorts, injected: Transport | undefined) {
    this.#ports = ports;
    this.#injected = injected;
  }

  /** @throws UNSUPPORTED when there is no such scheme, or its library does not load on this machine */
  async forScheme(scheme: string): Promise<Transport> {
    if (this.#injected !== undefined) return this.#injected;
    const made = this.#made.get(scheme);
    if (made !== undefined) return made;
    const making = this.#make(scheme);
    this.#made.set(scheme, making);
    return making;
  }

  async #make(scheme: string): Promise<Transport> {
    const { clock, random } = this.#ports;
    if (scheme === 'quic') {
      const { createQuicTransport } = await import('../../transport/quic/quic-transport.ts').catch(
        (cause: unknown) => {
          const text = 'the QUIC library does not load on this machine: use a tls:// URL';
          throw new SluiceError('UNSUPPORTED', `${text} (${String(cause)})`, { cause });
        },
      );
      return createQuicTransport({ clock, random });
    }
    if (scheme === 'tls') {
      const { createHttp2Transport } = await import('../../transport/http2/http2-transport.ts');
      return createHttp2Transport({ clock });
    }
    throw new SluiceError(
      'UNSUPPORTED',
      `there is no transport for ${scheme}:// URLs: use quic:// or tls://`,
    );
  }
}
