import type { Timer } from '../kernel/clock.ts';
import { auditRecord } from '../security/audit.ts';
import { summarizeCertificate } from '../security/certificates.ts';
import { RENEW_BEFORE_MS } from '../security/server-identity.ts';
import type { Listener } from '../transport/transport.ts';
import type { TlsMaterial, TlsPorts, TlsSource } from './tls-material.ts';
import { checkInDate, loadClientAuthorities, loadTlsMaterial } from './tls-material.ts';

/** How often files are looked at for a change, milliseconds. */
const LOOK_EVERY_MS = 10_000;

/** What listeners of a node do here. */
type Rotating = Pick<Listener, 'setIdentity'>;

/**
 * Certificates of a running node: reads them at the start, and again when the files change or somebody asks, and gives new ones
 * to the listeners for connections to come. What cannot be used is logged, once for each content, and the old ones stay. The
 * node's own certificate is renewed the same way, so that it does not end while the node runs.
 */
export class CertificateRotation implements AsyncDisposable {
  /** Times that new certificates were taken. */
  replaced = 0;
  /** Times that what was found could not be used. */
  failed = 0;
  readonly #source: TlsSource;
  readonly #ports: TlsPorts;
  #current: TlsMaterial;
  #listeners: () => Iterable<Rotating> = () => [];
  /** What failed last: told again only when it is asked for, or when it has changed. */
  #lastFailure = '';
  #working: Promise<boolean> = Promise.resolve(true);
  #timer: Timer | undefined;
  #stopped = false;

  private constructor(source: TlsSource, ports: TlsPorts, current: TlsMaterial) {
    this.#source = source;
    this.#ports = ports;
    this.#current = current;
  }

  /** Reads the certificates, or makes the node its own. @throws INVALID_CONFIG, STORAGE_FAILED */
  static async open(source: TlsSource, ports: TlsPorts): Promise<CertificateRotation> {
    return new CertificateRotation(source, ports, await loadTlsMaterial(source, ports));
  }

  /** The certificates in force. */
  get current(): TlsMaterial {
    return this.#current;
  }

  /** When the certificate in force ends, milliseconds since 1970. */
  get notAfterMs(): number {
    return summarizeCertificate(this.#current.identity.certificatePem).notAfterMs;
  }

  /** From now on files are looked at every 10 seconds. @param listeners those that are open, asked at each change */
  watch(listeners: () => Iterable<Rotating>): void {
    this.#listeners = listeners;
    this.#lookLater();
  }

  /** Reads everything now. @returns false when what was found could not be used; the log says why */
  reload(): Promise<boolean> {
    this.#lastFailure = '';
    return this.#enqueue(() => loadTlsMaterial(this.#source, this.#ports));
  }

  /** Resolves when nothing is being read. */
  async idle(): Promise<void> {
    await this.#working;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#working;
  }

  #lookLater(): void {
    if (this.#stopped) return;
    this.#timer = this.#ports.clock.setTimer(LOOK_EVERY_MS, () => {
      void this.#enqueue(() => this.#loadIfDue()).then(() => this.#lookLater());
    });
  }

  /** The node's own files are its own business: they are read again only when the certificate has to be renewed. */
  async #loadIfDue(): Promise<TlsMaterial> {
    const own = this.#source.tls.certificateFiles === null;
    if (!own || this.notAfterMs - RENEW_BEFORE_MS <= this.#ports.clock.now()) {
      return loadTlsMaterial(this.#source, this.#ports);
    }
    return { ...this.#current, clientAuthoritiesPem: await loadClientAuthorities(this.#source) };
  }

  /** One after the other. */
  #enqueue(load: () => Promise<TlsMaterial>): Promise<boolean> {
    this.#working = this.#working.then(() => this.#look(load));
    return this.#working;
  }

  async #look(load: () => Promise<TlsMaterial>): Promise<boolean> {
    if (this.#stopped) return false;
    try {
      const found = await load();
      if (!isSame(found, this.#current)) this.#replace(found);
      this.#lastFailure = '';
      return true;
    } catch (error) {
      this.#noteFailure(error);
      return false;
    }
  }

  /** All listeners or none. */
  #replace(found: TlsMaterial): void {
    const before = this.#current;
    checkInDate(found.identity, this.#ports.clock);
    const done: Rotating[] = [];
    try {
      for (const listener of this.#listeners()) {
        done.push(listener);
        listener.setIdentity(found.identity, found.clientAuthoritiesPem);
      }
    } catch (error) {
      for (const listener of done) listener.setIdentity(before.identity, before.clientAuthoritiesPem);
      throw error;
    }
    this.#current = found;
    this.replaced += 1;
    const { names, notAfterMs } = summarizeCertificate(found.identity.certificatePem);
    const { level, record } = auditRecord({ kind: 'certificates_replaced', names, notAfterMs });
    const { evt, ...fields } = record;
    this.#ports.log[level](evt, fields);
  }

  #noteFailure(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    if (text === this.#lastFailure) return;
    this.#lastFailure = text;
    this.failed += 1;
    this.#ports.log.error('tls.reload_failed', { error });
  }
}

function isSame(a: TlsMaterial, b: TlsMaterial): boolean {
  return (
    a.identity.certificatePem === b.identity.certificatePem &&
    a.identity.privateKeyPem === b.identity.privateKeyPem &&
    a.clientAuthoritiesPem === b.clientAuthoritiesPem
  );
}
