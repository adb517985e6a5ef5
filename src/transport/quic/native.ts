/**
 * The native quiche binding, the only import of it in Sluice.
 *
 * The entry of the package loads its own QUIC sockets, servers and streams, none of which is used here; `native/index.js` is
 * the binding alone and loads in a tenth of the time.
 */
export { quiche } from '@matrixai/quic/native/index.js';
export type {
  Config as NativeConfig,
  Connection as NativeConnection,
  RecvInfo,
} from '@matrixai/quic/native/index.js';

/**
 * Length in bytes of every connection id that this transport issues. quiche 0.18 has 128 bytes for its transport parameters
 * and refuses a connection whose do not fit: with a Retry three ids are among them, one of up to 20 bytes chosen by the
 * client, and a token of 16 bytes. Ids of 8 bytes leave room for all that.
 */
export const CID_BYTES = 8;

/** An address as the binding takes it: an IP address in text, never a name. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}
